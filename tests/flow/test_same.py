"""The same recordings give the same explanations, whatever they lie in and however wide the run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.yaml_config import ConfigError
from tests.conftest import TinyRun
from tests.flow.make import Recorder, assert_same_explanations, content_of, explain, mixed_recordings, rows
from tests.inputs.make import tar_bytes

pytestmark = [pytest.mark.slow, pytest.mark.ray]


def as_tar(folder: Path) -> Path:
    folder.mkdir()
    recordings = list(mixed_recordings().items())
    (folder / "a.tar").write_bytes(tar_bytes(recordings[:5]))
    (folder / "b.tar").write_bytes(tar_bytes(recordings[5:]))
    return folder


def as_parquet(folder: Path) -> Path:
    folder.mkdir()
    audio = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    cells = pa.array([{"bytes": data, "path": path} for path, data in mixed_recordings().items()], audio)
    pq.write_table(pa.table({"audio": cells}), folder / "recordings.parquet", row_group_size=3)
    return folder


def as_manifest(folder: Path, source: str) -> Path:
    folder.mkdir()
    for name in ("dog", "cat", "bad"):
        (folder / name).symlink_to(f"{source}/{name}")
    lines = "".join(f'"{path}"\n' for path in reversed(mixed_recordings()))
    (folder / "recordings.csv").write_text(f"path\n{lines}", encoding="utf-8")
    return folder / "recordings.csv"


@pytest.mark.parametrize("kind", ["tar", "parquet", "manifest"])
def test_every_kind_of_input(tiny_run: TinyRun, ray_address: str, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "input"
    source = {
        "tar": lambda: as_tar(place),
        "parquet": lambda: as_parquet(place),
        "manifest": lambda: as_manifest(place, tiny_run.source),
    }[kind]()
    explain(source, tmp_path / "out", content_of(tiny_run.explainer), address=ray_address)
    assert_same_explanations(tmp_path / "out", tiny_run.output)
    reasons = [sorted(row["reason"] for row in rows(out, "errors")) for out in (tmp_path / "out", tiny_run.output)]
    assert reasons[0] == reasons[1]


@pytest.mark.parametrize(
    "pool",
    [{"actors": 2}, {"batch_size": 1}, {"streams_per_actor": 2, "batch_size": 3}],
    ids=["two actors", "batches of one", "two shards at once"],
)
def test_every_pool(tiny_run: TinyRun, ray_address: str, tmp_path: Path, pool: dict[str, int]) -> None:
    explain(tiny_run.source, tmp_path / "out", content_of(tiny_run.explainer), address=ray_address, **pool)
    assert_same_explanations(tmp_path / "out", tiny_run.output)
    ids = [[row["window_id"] for row in rows(out, "predictions")] for out in (tmp_path / "out", tiny_run.output)]
    assert ids[0] == ids[1]


def test_a_trace_says_where_the_time_went_and_changes_nothing(
    tiny_run: TinyRun, ray_address: str, tmp_path: Path
) -> None:
    content, file = content_of(tiny_run.explainer), tmp_path / "trace.json"
    explain(tiny_run.source, tmp_path / "out", content, address=ray_address, trace=str(file))
    assert_same_explanations(tmp_path / "out", tiny_run.output)
    events = json.loads(file.read_text())["traceEvents"]
    roles = {one["pid"]: one["args"]["name"].partition(" on ")[0] for one in events if one["ph"] == "M"}
    names: dict[str, set[str]] = {"explain": set(), "decode, write": set()}
    for one in events:
        if one["ph"] == "X":
            names[roles[one["pid"]]].add(one["name"])
    assert names == {
        "explain": {
            *("wait", "fetch", "upload", "classify", "evidence", "decoder", "score"),
            *("inverse", "score audio", "copy"),
        },
        "decode, write": {"read", "decode", "measure", "tables", "FLAC", "Parquet", "put"},
    }
    windows = sum(one["name"] == "measure" for one in events)
    assert windows == len(rows(tmp_path / "out", "predictions"))
    # A trace that cannot be written costs the trace alone.
    reporter = Recorder()
    full = explain(tiny_run.source, tmp_path / "full", content, reporter, address=ray_address, trace="/dev/full")
    assert full.manifest is not None
    assert [note for note in reporter.notes if note.startswith("the trace could not be written to /dev/full: No space")]
    with pytest.raises(ConfigError, match="trace: must be a writable file"):
        explain(tiny_run.source, tmp_path / "other", content, address=ray_address, trace=str(tmp_path))
    assert not (tmp_path / "other").exists()


def test_a_binary_mask_is_the_soft_one_cut_at_a_half(tiny_run: TinyRun, ray_address: str, tmp_path: Path) -> None:
    content = content_of(tiny_run.explainer, mask="binary", listenables=())
    explain(tiny_run.source, tmp_path / "out", content, address=ray_address)
    soft = {row["window_id"]: row["mask"] for row in rows(tiny_run.output, "masks")}
    for row in rows(tmp_path / "out", "masks"):
        binary, levels = (np.frombuffer(mask, np.uint8) for mask in (row["mask"], soft[row["window_id"]]))
        assert set(np.unique(binary)) <= {0, 255}
        sure = np.abs(levels.astype(int) - 127.5) > 1
        np.testing.assert_array_equal(binary[sure] == 255, levels[sure] >= 128)
    assert rows(tmp_path / "out", "listenables") == []
    assert list((tmp_path / "out" / "listenables").iterdir())  # an empty table is still a table


def test_a_cluster_without_tokens_is_joined_after_a_run_on_a_ray_of_its_own_which_asks_for_one(
    tiny_run: TinyRun, ray_address: str, tmp_path: Path
) -> None:
    explain(tiny_run.source, tmp_path / "here", content_of(tiny_run.explainer))
    assert "RAY_AUTH_MODE" not in os.environ
    explain(tiny_run.source, tmp_path / "there", content_of(tiny_run.explainer), address=ray_address)
    assert_same_explanations(tmp_path / "here", tmp_path / "there")
