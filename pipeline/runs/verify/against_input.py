"""The recordings of a run against those of its input."""

from __future__ import annotations

import numpy as np

from pipeline.inputs.file_reader import unread_recording
from pipeline.inputs.labels import GroundTruth
from pipeline.inputs.listing import Listing
from pipeline.inputs.readers import read_shard
from pipeline.inputs.recording import FileIds, ReadFault
from pipeline.inputs.shards import Shard
from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.recordings import name_of
from schemas.records import RunRecord


class InputCheck:
    """Checks that a run has the recordings of its input, one shard after the other.

    Loose files are known from the listing; tars and Parquet files are read in full.
    """

    def __init__(self, listing: Listing, truth: GroundTruth, record: RunRecord, findings: Findings) -> None:
        self._root_url, self._truth, self._findings = listing.root_url, truth, findings
        self._each = record.config["channel"] == "each"
        self._left = {shard.shard_id: shard for shard in listing.shards}
        if listing.digest != record.input_digest:
            message = "the input is not the one that was explained, or has changed since"
            findings.add("input_changed", "_run.json", message)

    def check_shard(self, shard_id: str, ids: np.ndarray, whole: bool) -> None:
        """Check the recordings of a shard, whose ids are `ids`; `whole` says that all of them have been read."""
        shard = self._left.pop(shard_id, None)
        if shard is None:
            self._findings.add("stray_shard", shard_id, "it is committed, and the input has no such shard")
            return
        if not whole:
            return
        found, expected = {name_of(identity) for identity in ids}, self._ids(shard)
        files = FileIds(found, self._each)
        for identity in sorted(expected):
            if of_file := files.of(identity):
                found.difference_update(of_file)
            else:
                message = "the input has it, and it is neither in predictions nor in errors"
                self._findings.add("missing_recording", shard_id, message, identity)
        for identity in sorted(found):
            self._findings.add("stray_recording", shard_id, "the input has no such recording", identity)

    def close(self, finished: bool) -> None:
        """Check that no shard of the input is left over, if the run says that it is whole."""
        for shard_id in self._left if finished else ():
            self._findings.add("missing_shard", shard_id, "the input has it, and no part of it is committed")

    def _ids(self, shard: Shard) -> set[str]:
        if shard.kind == "files":
            recordings = map(unread_recording, shard.entries)
            return {one.clip_id for recording in recordings for one in self._truth.segments_of(recording)}
        found: set[str] = set()
        for item in read_shard(self._root_url, shard):
            if isinstance(item, ReadFault):
                found.update(self._truth.lost(item))
            else:
                found.update(one.clip_id for one in self._truth.segments_of(item))
        return found
