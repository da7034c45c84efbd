"""What a broken reader loses is found by counting the input with another one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.inputs import label_table
from pipeline.inputs.match_names import find_rows
from pipeline.inputs.recording import RawRecording
from pipeline.inputs.shards import clip_id
from pipeline.runs.verify.census.check import Heard, InputCount, count_input
from pipeline.runs.verify.findings import Findings
from schemas.input_config import InputConfig
from tests.flow.make import write_folder
from tests.runs.verify.counted_inputs import INPUTS, Item, N, clip, folder, manifest, parquet, run, tar
from tests.runs.verify.make import told

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("source", INPUTS)
def test_a_whole_run_is_said_to_be_whole(
    source: Callable[[Path], Path], tmp_path: Path, tiny_explainer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run(source(tmp_path / "in"), tmp_path / "out", tiny_explainer, monkeypatch, lambda items: items)
    assert told(found) == ""
    assert found.input == InputCount(recordings=N, in_full=N)


@pytest.mark.parametrize("source", INPUTS)
def test_a_reader_that_drops_every_tenth_recording_is_found(
    source: Callable[[Path], Path], tmp_path: Path, tiny_explainer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dropping(items: Iterator[Item]) -> Iterator[Item]:
        return (item for item in items if int("".join(filter(str.isdigit, item.key))[:2]) % 10)

    found = run(source(tmp_path / "in"), tmp_path / "out", tiny_explainer, monkeypatch, dropping)
    assert found.findings.counts["missing_recording"] >= N // 10
    assert found.input is not None
    assert (found.input.recordings, found.input.in_full) == (N, N - N // 10)


def test_a_decoder_that_cuts_the_last_second_is_found(
    tmp_path: Path, tiny_explainer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = folder(tmp_path / "in")

    def cutting(items: Iterator[Item]) -> Iterator[Item]:
        for item in items:
            number = int(item.key[:2])
            yield replace(item, data=clip(number, 0.6)) if isinstance(item, RawRecording) and number == 7 else item

    found = run(source, tmp_path / "out", tiny_explainer, monkeypatch, cutting)
    assert found.findings.counts == {"cut_short": 1}
    assert "07.wav: the run accounts for its sound up to 0.600 s, FFmpeg decodes 1.600 s" in told(found)


def shifted(items: Iterator[Item]) -> Iterator[Item]:
    """Each recording with the metadata of the one before it."""
    before: dict[str, Any] = {}
    for item in items:
        assert isinstance(item, RawRecording)
        yield replace(item, metadata=before)
        before = item.metadata


@pytest.mark.parametrize("source", INPUTS)
def test_a_reader_that_shifts_labels_by_one_row_is_found(
    source: Callable[[Path], Path], tmp_path: Path, tiny_explainer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run(source(tmp_path / "in"), tmp_path / "out", tiny_explainer, monkeypatch, shifted)
    assert found.findings.counts["wrong_label_true"] == N
    assert found.input is not None
    assert found.input.in_full == N


def text_table(path: Path, names: list[str], column: str = "path,label", packed: bool = False) -> None:
    lines = [column, *(f"{name},l{number}" for number, name in enumerate(names))]
    data = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(data, mtime=0) if packed else data)


def other_table(path: Path, names: list[str]) -> None:
    rows = [{"path": name, "label": f"l{number}"} for number, name in enumerate(names)]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text(json.dumps(rows) if path.suffix == ".json" else "\n".join(map(json.dumps, rows)))


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("t.csv", "deep/{}.wav"),
        ("t.csv", "{}.wav"),
        ("t.csv", "deep/{}"),
        ("t.csv", "{}"),
        ("t.csv", "{root}/deep/{}.wav"),
        ("t.csv", "in/deep/{}.wav"),
        ("t.csv", "/elsewhere/deep/{}.flac"),
        ("t.csv", "..\\x\\deep\\{}.wav"),
        ("t.csv.gz", "{}.wav"),
        ("t.json", "{}.wav"),
        ("t.jsonl", "{}.wav"),
        ("t.parquet", "{}.wav"),
    ],
)
def test_a_table_of_labels_is_compared_however_it_names_the_recordings(
    tmp_path: Path, name: str, spelt: str, shift: int
) -> None:
    root, table = tmp_path / "in", tmp_path / name
    write_folder(root, {f"deep/{number}.wav": b"" for number in range(4)})
    names = [spelt.format(number, root=root) for number in range(3)]
    if name.endswith((".csv", ".csv.gz")):
        text_table(table, names, packed=name.endswith(".gz"))
    else:
        other_table(table, names)
    labels = [("l0",), ("l1",), ("l2",), ()]
    labels = labels[shift:] + labels[:shift]
    heard = {clip_id(f"deep/{number}.wav"): Heard(0.0, labels[number]) for number in range(4)}
    findings = Findings()
    reading = InputConfig(labels=str(table))
    count_input(str(root), {}, reading, heard=heard, failed=frozenset(), findings=findings)
    assert findings.counts == ({"wrong_label_true": 4} if shift else {})


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("kind", [tar, parquet, manifest])
def test_a_table_of_labels_is_compared_row_by_row(
    kind: Callable[[Path], Path], tmp_path: Path, tiny_explainer: str, monkeypatch: pytest.MonkeyPatch, shift: int
) -> None:
    def turned(*args: Any) -> dict[str, Any]:
        rows = find_rows(*args)
        return dict(zip(rows, [*rows.values()][shift:] + [*rows.values()][:shift], strict=True))

    monkeypatch.setattr(label_table, "find_rows", turned)
    source, table = kind(tmp_path / "in"), tmp_path / "labels.csv"
    names = [f"x/{number}.wav" if kind is parquet else f"x/{number:02d}.wav" for number in range(N)]
    text_table(table, names)
    found = run(source, tmp_path / "out", tiny_explainer, monkeypatch, lambda items: items, labels=str(table))
    assert found.findings.counts == ({"wrong_label_true": N} if shift else {})


@pytest.mark.parametrize("shift", [0, 1])
def test_segments_of_a_table_of_labels_are_compared(
    tmp_path: Path, tiny_explainer: str, monkeypatch: pytest.MonkeyPatch, shift: int
) -> None:
    def turned(*args: Any) -> dict[str, Any]:
        rows = find_rows(*args)
        return dict(zip(rows, [*rows.values()][shift:] + [*rows.values()][:shift], strict=True))

    monkeypatch.setattr(label_table, "find_rows", turned)
    source, table = folder(tmp_path / "in"), tmp_path / "labels.csv"
    lines = [f"{n:02d},{start},{stop},l{n}" for n in range(N) for start, stop in (("0", "0.8"), ("0.8", ""))]
    table.write_text("\n".join(["name,start,end,label", *lines]) + "\n")
    found = run(source, tmp_path / "out", tiny_explainer, monkeypatch, lambda items: items, labels=str(table))
    assert found.findings.counts == ({"wrong_label_true": 2 * N} if shift else {})
