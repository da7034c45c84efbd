"""Read shards of all kinds through one function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Container, Iterator
from dataclasses import replace

from pipeline.inputs.file_reader import read_files
from pipeline.inputs.labels import GroundTruth
from pipeline.inputs.listing import Listing
from pipeline.inputs.parquet_reader import read_parquet
from pipeline.inputs.recording import MAX_CLIP_BYTES, RawRecording, ReadFault
from pipeline.inputs.shards import Shard, clip_id
from pipeline.inputs.tar_reader import read_tar


def read_shard(
    root_url: str,
    shard: Shard,
    start: int = 0,
    max_clip_bytes: int = MAX_CLIP_BYTES,
    *,
    want: Callable[[str], bool] | None = None,
    left_out: Counter[str] | None = None,
) -> Iterator[RawRecording | ReadFault]:
    """Yield a shard's recordings and faults in a fixed order, from ordinal `start`.

    Reading from `start = k` yields the same as reading all and dropping the ordinals below k. Only recordings whose
    `clip_id` `want` accepts are read. `left_out` counts, by kind, what belongs to no recording or is not drawn: all of
    the shard's, once it is read to its end. A recording of more than `max_clip_bytes` is a fault if it must be held in
    memory; otherwise it is read by ranges.
    Raises StorageError when a storage outage outlasts the retries.
    """
    if shard.kind == "files":
        return read_files(root_url, shard, start, max_clip_bytes, want)
    read = read_tar if shard.kind == "tar" else read_parquet
    return read(root_url, shard, start, max_clip_bytes, want, left_out)


def find_recordings(
    listing: Listing,
    wanted: Container[str],
    shard_ids: Collection[str] | None = None,
    truth: GroundTruth | None = None,
) -> Iterator[RawRecording]:
    """Yield the recordings of an input with these `clip_id`s, from all its shards or the named ones.

    A recording with a segment of such an id counts too; `truth` knows the segments that a table of labels makes. Tars
    have to be scanned, but only wanted members are read; Parquet files are read whole.
    """
    parents = {
        identity
        for identity, row in ((truth.annotations if truth is not None else None) or {}).items()
        if any(segment.clip_id in wanted for segment in row.segments)
    }

    def want(identity: str) -> bool:
        return identity in wanted or identity in parents

    for shard in listing.shards:
        if shard_ids is not None and shard.shard_id not in shard_ids:
            continue
        entries = tuple(
            entry
            for entry in shard.entries
            if want(clip_id(entry.place)) or any(segment.clip_id in wanted for segment in entry.segments)
        )
        if shard.kind == "files" and not entries:
            continue
        # A row of Parquet may be a segment, which only its times show.
        only = want if shard.kind == "tar" else None
        for recording in read_shard(listing.root_url, replace(shard, entries=entries), want=only):
            if isinstance(recording, RawRecording):
                recording = truth.annotated(recording) if truth is not None else recording
                if recording.clip_id in wanted or any(one.clip_id in wanted for one in recording.segments):
                    yield recording
