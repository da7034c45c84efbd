"""Listenables of which each target gets so many: drawn among the candidates of all parts."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.flow.finalize import finalize
from pipeline.runs.output import CANDIDATES, RunOutput
from pipeline.storage.errors import StorageError
from schemas.draws import rank_of
from schemas.records import CommitRecord, Cursor, FileRecord, QuarantinedShard
from schemas.tables import LISTENABLES
from tests.flow.test_plan import A, B

TARGETS = ("rain", "wind", "bell")


def listenable(window_id: str, target: str) -> dict[str, object]:
    audio = {"bytes": f"{window_id} {target}".encode(), "path": f"{window_id}.flac"}
    numbers = {"duration_s": 1.0, "sample_rate": 8000, "peak_dbfs": 0.0, "loudness_lufs": None, "gain_db": 0.0}
    ids = {"clip_id": window_id[:32], "window_id": window_id, "target": target, "kind": "masked_in", "sha256": "d"}
    return {**ids, **numbers, "audio": audio}


def commit(output: RunOutput, shard_id: str, part: int, windows: dict[str, str], last: bool = False) -> FileRecord:
    """A part of windows, each with a target, of which each target has at most two candidates; returns their file."""
    drawn: dict[str, list[str]] = {}
    for window_id, target in windows.items():
        drawn.setdefault(target, []).append(window_id)
    drawn = {target: sorted(ids, key=rank_of)[:2] for target, ids in drawn.items()}
    rows = [listenable(window_id, target) for target, ids in drawn.items() for window_id in ids]
    table = pa.Table.from_pylist(rows, LISTENABLES)
    candidates = output.write_table("listenables", f"{shard_id}-{part:06d}", table, 32, CANDIDATES)
    record = CommitRecord(
        shard_id=shard_id,
        part=part,
        windows=len(windows),
        recordings=len(windows),
        errors=0,
        files=[],
        candidates=candidates,
        drawn=drawn,
        next=Cursor(recording=1),
        share=1.0,
        last=last,
    )
    output.commit(record)
    return candidates


def windows(first: int, count: int) -> dict[str, str]:
    return {f"{i:032x}-00000": TARGETS[i % 3] for i in range(first, first + count)}


def drawn_by(output: RunOutput) -> set[tuple[str, str]]:
    files = [Path(output.url) / file.path for file in output.files("listenables")]
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert all(row["audio"]["bytes"] == f"{row['window_id']} {row['target']}".encode() for row in rows)
    return {(row["window_id"], row["target"]) for row in rows}


EXPECTED = {
    (window_id, target)
    for target in TARGETS
    for window_id in sorted((w for w, t in windows(0, 60).items() if t == target), key=rank_of)[:2]
}


def written(folder: Path) -> RunOutput:
    output = RunOutput(str(folder))
    commit(output, "a", 0, windows(0, 20))
    commit(output, "a", 1, windows(20, 15), last=True)
    commit(output, "b", 0, windows(35, 25), last=True)
    return output


def test_the_windows_of_the_lowest_ranks_are_kept_and_no_others(tmp_path: Path) -> None:
    output = written(tmp_path)
    manifest = finalize(output, [A, B], [], per_target=2)
    assert drawn_by(output) == EXPECTED
    assert manifest.tables["listenables"].rows == 6
    assert not (tmp_path / CANDIDATES).exists()
    assert output.succeeded()


def test_a_manifest_that_is_written_anew_finds_them_without_candidates(tmp_path: Path) -> None:
    output = written(tmp_path)
    finalize(output, [A, B], [], per_target=2)
    before = output.files("listenables")
    finalize(output, [A, B], [], per_target=2)
    assert output.files("listenables") == before
    Path(output.url, before[0].path).unlink()
    with pytest.raises(StorageError, match="the listenables that were drawn from it are gone"):
        finalize(output, [A, B], [], per_target=2)


def test_candidates_stay_while_a_shard_may_be_gone_on_with(tmp_path: Path) -> None:
    output = RunOutput(str(tmp_path))
    commit(output, "a", 0, windows(0, 20))
    commit(output, "a", 1, windows(20, 15), last=True)
    finalize(output, [A, B], [QuarantinedShard(shard_id="b", uri="b", attempts=3, reason="x")], per_target=2)
    assert len(list((tmp_path / CANDIDATES).iterdir())) == 2
    assert drawn_by(output) != EXPECTED
    commit(output, "b", 0, windows(35, 25), last=True)
    finalize(output, [A, B], [], per_target=2)
    assert drawn_by(output) == EXPECTED
