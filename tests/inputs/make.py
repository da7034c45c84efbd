"""Inputs of every kind, made in the tests; the bytes of a recording are its name, for storage never decodes."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.inputs.listing import Listing, list_input
from pipeline.inputs.readers import read_shard
from pipeline.inputs.recording import RawRecording, ReadFault


def write_files(folder: Path, names: Iterable[str]) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode("utf-8", "surrogateescape"))
    return folder


def tar_bytes(members: Mapping[str, bytes] | list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", errors="surrogateescape") as archive:
        for name, data in members.items() if isinstance(members, Mapping) else members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def write_parquet(path: Path, rows: list[dict[str, Any]], row_group_rows: int = 3) -> Path:
    audio = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    columns = {"audio": pa.array([row["audio"] for row in rows], audio)}
    columns |= {name: pa.array([row[name] for row in rows]) for name in rows[0] if name != "audio"}
    pq.write_table(pa.table(columns), path, row_group_size=row_group_rows)
    return path


def mixture(folder: Path) -> Path:
    """Loose files with a sidecar, a tar, and a Parquet file; seven files that hold 2 + 2 + 7 recordings."""
    write_files(folder, ["loose/a b.wav", "loose/ünï.ogg", "notes.txt", ".hidden/x.wav"])
    (folder / "loose" / "a b.json").write_text(json.dumps({"label": "dog", "take": 1}))
    members = {
        "k/one.wav": b"one",
        "k/one.json": b'{"label": "cat"}',
        "k/two.flac": b"two",
        "k/two.cls": b"7\n",
    }
    (folder / "shard-000.tar").write_bytes(tar_bytes(members))
    rows = [{"audio": {"bytes": f"row {i}".encode(), "path": f"p/{i}.wav"}, "label": f"l{i}"} for i in range(7)]
    write_parquet(folder / "table.parquet", rows)
    return folder


def read_all(listing: Listing) -> list[RawRecording | ReadFault]:
    return [item for shard in listing.shards for item in read_shard(listing.root_url, shard)]


def listed(url: str | Path, **options: int) -> list[RawRecording | ReadFault]:
    return read_all(list_input(str(url), **options))
