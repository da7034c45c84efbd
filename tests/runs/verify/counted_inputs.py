"""Inputs of each kind with known recordings, and runs over them, for the tests of the census."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.flow import parts
from pipeline.inputs import readers
from pipeline.inputs.recording import RawRecording, ReadFault
from pipeline.runs.verify import against_input
from pipeline.runs.verify.verify import Verification, verify
from tests.flow.make import content_of, encoded, explain_here, sound, write_folder
from tests.inputs.make import tar_bytes

Item = RawRecording | ReadFault
N = 20


def clip(number: int, seconds: float = 1.6) -> bytes:
    return encoded(sound(seconds, seed=number))


def folder(root: Path) -> Path:
    write_folder(root, {f"{number:02d}.wav": clip(number) for number in range(N)})
    for number in range(N):
        (root / f"{number:02d}.cls").write_text(f"label {number}")
    return root


def tar(root: Path) -> Path:
    root.mkdir()
    members = [
        (f"{number:02d}{end}", data)
        for number in range(N)
        for end, data in ((".cls", b"l%d" % number), (".wav", clip(number)))
    ]
    (root / "s.tar").write_bytes(tar_bytes(members))
    return root / "s.tar"


def parquet(root: Path) -> Path:
    root.mkdir()
    audio = pa.array([{"bytes": clip(number), "path": f"{number}.wav"} for number in range(N)])
    pq.write_table(pa.table({"audio": audio, "label": [f"l{number}" for number in range(N)]}), root / "t.parquet")
    return root / "t.parquet"


def manifest(root: Path) -> Path:
    folder(root)
    lines = [f"{number:02d}.wav;label {number}" for number in range(N)]
    (root / "m.csv").write_text("\n".join(["path;label", *lines]) + "\n")
    return root / "m.csv"


INPUTS = [folder, tar, parquet, manifest]


def run(
    source: Path,
    out: Path,
    explainer: str,
    monkeypatch: pytest.MonkeyPatch,
    broken: Callable[[Iterator[Item]], Iterator[Item]],
    **settings: Any,
) -> Verification:
    """A run and its check, both by a broken reader."""
    whole = readers.read_shard

    def read(*args: Any, **options: Any) -> Iterator[Item]:
        return broken(whole(*args, **options))

    for module in (parts, readers, against_input):
        monkeypatch.setattr(module, "read_shard", read)
    explain_here(str(source), str(out), content_of(explainer, **settings))
    return verify(out, source, labels=settings.get("labels"))
