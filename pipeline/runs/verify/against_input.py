"""The recordings of a run against those of its input."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from pipeline.inputs.listing import Listing
from pipeline.inputs.readers import read_shard
from pipeline.inputs.shards import Shard, clip_id
from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.recordings import name_of
from pipeline.runs.verify.records import Outline

RUN = "_run.json"


def check_input(
    listing: Listing,
    outline: Outline,
    recordings: np.ndarray,
    places: Sequence[str],
    broken: Collection[int],
    findings: Findings,
) -> None:
    """Check that a run has the very recordings of its input, in every shard that is committed to its end.

    `recordings` and the shards' names, `places`, are as `check_recordings` has them; of `broken` shards nothing is said. Loose
    files are known by the listing, tars and Parquet files are read through.
    """
    if listing.digest != outline.record.input_digest:
        findings.add("input_changed", RUN, "the input is not the one that was explained, or has changed since")
    numbers = {shard_id: number for number, shard_id in enumerate(places)}
    for stranger in sorted(numbers.keys() - {shard.shard_id for shard in listing.shards}):
        findings.add("stray_shard", stranger, "it is committed, and the input has no such shard")
    for shard in listing.shards:
        number = numbers.get(shard.shard_id)
        if number is None:
            if outline.finished:
                findings.add("missing_shard", shard.shard_id, "the input has it, and no part of it is committed")
        elif shard.shard_id in outline.ended and number not in broken:
            found = {name_of(recording) for recording in recordings[recordings["shard"] == number]}
            wanted = _ids(listing, shard)
            for identity in sorted(wanted - found):
                message = "the input has it, and it is neither in predictions nor in errors"
                findings.add("missing_recording", shard.shard_id, message, identity)
            for identity in sorted(found - wanted):
                findings.add("stray_recording", shard.shard_id, "the input has no such recording", identity)


def _ids(listing: Listing, shard: Shard) -> set[str]:
    if shard.kind == "files":
        return {clip_id(entry.place) for entry in shard.entries}
    return {recording.clip_id for recording in read_shard(listing.root_url, shard)}
