"""List the names of all recordings of an input, without their sound."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from pipeline.inputs.parquet_reader import names_in_parquet
from pipeline.inputs.shards import Shard, clip_id, printable
from pipeline.inputs.suffixes import TAR_SUFFIXES
from pipeline.inputs.tar_reader import names_in_tar

_THREADS = 16


class RecordingName(NamedTuple):
    """What a recording may be called: `name` is its path with the file's own suffix, `shard` the path of its archive.

    `key` is its name in the tables of a run.
    """

    clip_id: str
    key: str
    name: str
    shard: str = ""


def names_of(root_url: str, shards: list[Shard]) -> Iterator[RecordingName]:
    """Yield the names of all recordings of some shards, in order.

    Names of loose files are known; for tars the headers are read, for Parquet files the paths.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        for names in pool.map(lambda shard: list(_names(root_url, shard)), shards):
            yield from names


def _names(root_url: str, shard: Shard) -> Iterator[RecordingName]:
    if shard.kind == "files":
        for entry in shard.entries:
            yield RecordingName(clip_id(entry.place), entry.key, printable(entry.uri))
        return
    names = names_in_tar(root_url, shard) if shard.kind == "tar" else names_in_parquet(root_url, shard)
    for identity, key, file in names:
        yield RecordingName(identity, key, posixpath.join(posixpath.dirname(key), file), unpacked(printable(shard.uri)))


def unpacked(uri: str) -> str:
    """Return the folder to which a shard would be unpacked."""
    suffix = next((one for one in sorted(TAR_SUFFIXES, key=len, reverse=True) if uri.lower().endswith(one)), "")
    return uri[: len(uri) - len(suffix)] if suffix else posixpath.splitext(uri)[0]
