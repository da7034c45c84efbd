"""One door to all kinds of shards."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.inputs.file_reader import read_files
from pipeline.inputs.parquet_reader import read_parquet
from pipeline.inputs.recording import MAX_CLIP_BYTES, RawRecording, ReadFault
from pipeline.inputs.shards import Shard
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
