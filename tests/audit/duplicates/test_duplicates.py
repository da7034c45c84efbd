"""Duplicates among the recordings of a run: the same samples, near copies, and copies across a split."""

from __future__ import annotations

import json
import re
import shutil
from importlib import resources
from pathlib import Path

import duckdb
import numpy as np
import pytest

from pipeline.audit.audited import AuditedRun, AuditError
from pipeline.audit.duplicates import duplicates
from pipeline.audit.findings import Finding
from pipeline.runs.run import open_run
from schemas.audit_config import AuditConfig
from tests.audit.duplicates.make import barks, rain
from tests.conftest import TinyRun
from tests.flow.make import RATE, content_of, encoded, explain_here, write_folder

pytestmark = pytest.mark.slow

# Recordings by their folders, which are their labels; those under `other/` are of another fold.
SOUNDS = {
    **{f"rain/{seed}.wav": rain(2.5, seed, RATE) for seed in range(5)},
    **{f"dog/{seed}.wav": barks(2.5, seed, RATE) for seed in range(5, 8)},
    "rain/silent.wav": np.zeros(2 * RATE),
    "rain/silent too.wav": np.zeros(2 * RATE),
    "rain/0 again.flac": rain(2.5, 0, RATE),
    "other/softer.wav": -0.1 * barks(2.5, 5, RATE),
    "other/cut.wav": rain(2.5, 1, RATE)[RATE * 7 // 10 :],
    # Other samples, by a step or two of the 16-bit grid.
    "rain/2 nearly.wav": 0.9999 * rain(2.5, 2, RATE),
    # A long recording that repeats itself.
    "rain/loop.wav": np.tile(rain(1.0, 99, RATE), 3),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_explainer: str) -> TinyRun:
    """A run with both sides of all listenables."""
    return explained(tmp_path_factory.mktemp("copies"), tiny_explainer, ("masked_in", "masked_out"))


def explained(folder: Path, explainer: str, sides: tuple[str, ...]) -> TinyRun:
    # On the 16-bit grid, as encoders do not round alike.
    files = {
        path: encoded((sound * 2**15).astype(np.int16), container=path.rpartition(".")[2].upper())
        for path, sound in SOUNDS.items()
    }
    for path in SOUNDS:
        sidecar = path.rpartition(".")[0] + ".json"
        files[sidecar] = json.dumps({"fold": 2 if path.startswith("other/") else 1}).encode()
    source, output = write_folder(folder / "input", files), str(folder / "output")
    explain_here(source, output, content_of(explainer, listenables=sides, part_windows=16, files_per_shard=50))
    return TinyRun(source, output, explainer, [])


def ask(run: TinyRun, **settings: str) -> dict[str, Finding]:
    return {one.subject: one for one in duplicates(AuditedRun(open_run(run.output)), AuditConfig(**settings))}


def repeated(finding: Finding, run: TinyRun) -> dict[str, str | None]:
    """Which recording each member repeats."""
    keys = dict(open_run(run.output).sql("SELECT DISTINCT clip_id, key FROM predictions").fetchall())
    return {keys[one.clip_id]: one.suggestion for one in finding.members}


ALIKE = {"rain/2.wav": "rain/2 nearly.wav", "rain/2 nearly.wav": "rain/2.wav"}
ACROSS = {
    "other/softer.wav": "dog/5.wav",
    "dog/5.wav": "other/softer.wav",
    "other/cut.wav": "rain/1.wav",
    "rain/1.wav": "other/cut.wav",
}


@pytest.mark.parametrize("from_input", [True, False])
def test_copies_are_found_whether_sound_is_in_the_input_or_in_both_sides(run: TinyRun, from_input: bool) -> None:
    found = ask(run, **({"input_url": run.source} if from_input else {}))
    assert set(found) == {"same samples", "near copies"}
    same, near = found["same samples"], found["near copies"]
    assert repeated(same, run) == {"rain/0.wav": "rain/0 again.flac", "rain/0 again.flac": "rain/0.wav"}
    assert repeated(near, run) == {**ALIKE, **ACROSS}
    assert same.confirmed
    assert near.confirmed
    assert (same.n, near.n, same.share) == (2, 6, 2 / len(SOUNDS))
    assert all(one.score > 0.95 for one in near.members)
    # The folders say that the copies are something else.
    assert near.evidence["labels_disagree_groups"] == 2
    assert same.evidence["labels_disagree"] == []


def test_what_the_input_lacks_is_heard_from_both_sides(run: TinyRun, tmp_path: Path) -> None:
    shutil.copytree(Path(run.source) / "dog", tmp_path / "dog")
    found = ask(run, input_url=str(tmp_path))
    assert set(found) == {"same samples", "near copies"}
    assert repeated(found["near copies"], run) == {**ALIKE, **ACROSS}


def test_copies_across_the_split_are_leakage_and_weigh_most(run: TinyRun) -> None:
    found = ask(run, split="fold", input_url=run.source)
    leaked = found.pop("leakage across fold: 1, 2")
    assert repeated(leaked, run) == ACROSS
    assert leaked.weight > max(one.weight for one in found.values())
    assert leaked.evidence["by_split"] == {"1": 2, "2": 2}
    with pytest.raises(AuditError, match="no recording has a column 'no such column'"):
        ask(run, split="no such column")


def test_the_same_is_found_again(run: TinyRun) -> None:
    assert ask(run, split="fold") == ask(run, split="fold")


def test_without_sound_near_copies_are_no_more_than_candidates(tmp_path: Path, tiny_explainer: str) -> None:
    run = explained(tmp_path, tiny_explainer, ("masked_in",))
    found = ask(run, split="fold")
    assert "near copies" not in found
    assert not any(subject.startswith("leakage") for subject in found)
    assert found["same samples"].confirmed
    about = AuditedRun(open_run(run.output))
    duplicates(about, AuditConfig())
    (note,) = about.notes["duplicate"]
    assert re.match(r"(\d+) of \1 pairs of neighbours were not compared, .*pass --input", note)
    assert about.judged == {"duplicate": 0}
    candidates = found["near copies, not verified"]
    assert candidates.confirmed is None
    assert "not verified on sound" in candidates.statement
    assert ALIKE.items() <= repeated(candidates, run).items()
    # The input tells which of them are.
    assert "near copies, not verified" not in ask(run, input_url=run.source)
    about = AuditedRun(open_run(run.output))
    duplicates(about, AuditConfig(input_url=run.source))
    assert about.judged == {"duplicate": len(SOUNDS)}


def test_the_question_in_sql_runs_by_itself(run: TinyRun) -> None:
    query = (resources.files("pipeline.audit.questions") / "same_samples.sql").read_text()
    connection = duckdb.connect()
    connection.execute(f"CREATE VIEW predictions AS SELECT * FROM '{run.output}/predictions/*.parquet'")
    rows = connection.sql(query).to_arrow_table().to_pylist()
    assert {(row["key"], row["repeats_key"]) for row in rows} == {("rain/0.wav", "rain/0 again.flac")}
    assert [row["start_s"] for row in rows] == [row["repeats_start_s"] for row in rows] == [0.0, 1.0, 2.0]
