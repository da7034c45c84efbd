"""One door to all kinds of shards."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from pipeline.inputs.file_reader import read_files
from pipeline.inputs.listing import Listing
from pipeline.inputs.parquet_reader import read_parquet
from pipeline.inputs.recording import MAX_CLIP_BYTES, RawRecording, ReadFault
from pipeline.inputs.shards import Shard, clip_id
from pipeline.inputs.tar_reader import read_tar

_READERS = {"files": read_files, "tar": read_tar, "parquet": read_parquet}


def read_shard(
    root_url: str, shard: Shard, start: int = 0, max_clip_bytes: int = MAX_CLIP_BYTES
) -> Iterator[RawRecording | ReadFault]:
    """Yield a shard's recordings and faults in a fixed order, from ordinal `start`.

    Reading from `start = k` yields what reading all and dropping the ordinals below k yields.
    Raises StorageError when the storage stays away for longer than the retries last.
    """
    return _READERS[shard.kind](root_url, shard, start, max_clip_bytes)


def find_recordings(
    listing: Listing, wanted: Collection[str], shard_ids: Collection[str] | None = None
) -> Iterator[RawRecording]:
    """Yield the recordings of an input with these `clip_id`s, of all its shards or of those named.

    Only the wanted ones of loose files are read; a tar or a Parquet file has to be gone through.
    """
    for shard in listing.shards:
        if shard_ids is not None and shard.shard_id not in shard_ids:
            continue
        entries = tuple(entry for entry in shard.entries if clip_id(entry.place) in wanted)
        if shard.kind == "files" and not entries:
            continue
        for recording in read_shard(listing.root_url, replace(shard, entries=entries)):
            if isinstance(recording, RawRecording) and recording.clip_id in wanted:
                yield recording
