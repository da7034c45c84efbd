"""Explanations not to be trusted, recordings far from all others, examples of classes; each SQL file by itself."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from pipeline.audit.audited import AuditedRun
from pipeline.audit.odd_one_out import odd_one_out
from pipeline.audit.typical import typical
from pipeline.audit.unfaithful import REST, unfaithful
from pipeline.inputs.shards import clip_id
from pipeline.runs.run import open_run
from schemas.audit_config import AuditConfig
from tests.audit.make import explanation, made_run, window

FILES = sorted(one.name for one in resources.files("pipeline.audit.questions").iterdir() if one.name.endswith(".sql"))


def about(folder: Path, *tables: Any) -> AuditedRun:
    return AuditedRun(open_run(made_run(folder / "run", *tables)))


def test_each_way_to_be_unfaithful_is_told(tmp_path: Path) -> None:
    names = [f"{number}.wav" for number in range(24)]
    rows = [explanation(name, "siren" if number < 4 else "bark") for number, name in enumerate(names)]
    rows[0] |= {"p_out": 0.85, "ff": 0.05}
    rows[1] |= {"p_in": 0.1}
    rows[2] |= {"p_in_audio": 0.3, "p_out_audio": 0.05}
    rows[4] |= {"p_in": 0.2}
    # What is hardly a decision has no explanation to be trusted.
    rows[5] |= {"p": 0.1, "p_in": 0.01, "p_out": 0.1, "ff": 0.0}
    rows[6] |= {"p_in_audio": 0.8, "p_out_audio": 0.06}
    found = {
        one.subject: one for one in unfaithful(about(tmp_path, [window(name) for name in names], rows), AuditConfig())
    }
    assert found.keys() == {"siren", REST}
    assert {member.clip_id for member in found["siren"].members} == {clip_id(name) for name in names[:3]}
    assert found["siren"].evidence["recordings"] == {"rest_suffices": 1, "kept_fails": 1, "written_differs": 1}
    assert (found["siren"].n, found["siren"].share) == (3, 0.75)
    assert [member.clip_id for member in found[REST].members] == [clip_id("4.wav")]
    assert found[REST].statement.startswith("explanations of other classes cannot be trusted in 1 of 24 recordings")
    assert found[REST].effect is not None
    assert (found[REST].effect.value, found[REST].effect.unit) == (1 / 24, "of all recordings")
    assert found[REST].members[0].suggestion == "the kept part alone is not called so"
    assert found[REST].members[0].score == pytest.approx(1 - 0.2 / 0.9, abs=1e-6)


def test_what_is_far_from_everything_is_odd_and_a_small_class_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(8) * 5
    vectors = [centres[number % 4] + 0.5 * rng.standard_normal(8) for number in range(80)]
    vectors += [centres[5] + 0.5 * rng.standard_normal(8) for _ in range(12)]
    vectors += [centres[6] - centres[7]]
    rows = [window(f"{number}.wav", embedding=vector.tolist()) for number, vector in enumerate(vectors)]
    (found,) = odd_one_out(about(tmp_path, rows), AuditConfig())
    assert [member.clip_id for member in found.members] == [clip_id("92.wav")]
    assert found.members[0].score > 4
    few = about(tmp_path / "few", rows[-10:])
    assert odd_one_out(few, AuditConfig()) == []
    assert "10 recordings" in few.notes["odd_one_out"][0]


def test_recordings_that_are_all_alike_are_not_odd(tmp_path: Path) -> None:
    assert odd_one_out(about(tmp_path, [window(f"{number}.wav") for number in range(30)]), AuditConfig()) == []


def test_of_each_class_the_typical_the_uncertain_and_the_surely_wrong_are_shown(tmp_path: Path) -> None:
    rows = []
    for number in range(20):
        label = ("bark", "rain")[number % 2]
        vector = np.eye(3)[number % 2] + (0.02 * number) * np.eye(3)[2]
        sure = 0.95 - 0.02 * number
        probabilities = [sure, 1 - sure, 0.0] if label == "bark" else [1 - sure, sure, 0.0]
        rows.append(window(f"{number}.wav", embedding=vector.tolist(), probabilities=probabilities, label_true=[label]))
    rows[3]["probabilities"] = [0.98, 0.02, 0.0]
    found = {one.subject: one for one in typical(about(tmp_path, rows), AuditConfig())}
    assert found.keys() == {"bark", "rain"}
    by = {"most typical": [], "least certain": [], "sure and wrong: bark": []}  # type: dict[str, list[str]]
    for member in found["rain"].members:
        by[str(member.suggestion)].append(member.clip_id)
    assert by["sure and wrong: bark"] == [clip_id("3.wav")]
    assert by["least certain"][:2] == [clip_id("3.wav"), clip_id("19.wav")]
    assert len(by["most typical"]) == 5
    assert clip_id("19.wav") not in by["most typical"]
    assert found["rain"].statement.startswith("'rain' in 10 recordings: called so in 9")
    assert found["bark"].evidence["called"] == {"bark": 10}


@pytest.mark.parametrize("file", FILES)
def test_a_user_can_run_each_question_as_its_top_says(file: str, tmp_path: Path) -> None:
    rows = [window(f"{number}.wav", clipped=0.1 * (number == 0)) for number in range(12)]
    made_run(tmp_path / "explained", rows, [explanation("1.wav", p_in=0.0)])
    text = (resources.files("pipeline.audit.questions") / file).read_text(encoding="utf-8")
    views = [line.removeprefix("--").strip() for line in text.splitlines() if "CREATE VIEW" in line]
    assert views
    connection = duckdb.connect()
    for view in views:
        connection.execute(view.replace("explained/", f"{tmp_path}/explained/"))
    found = connection.sql(text).fetchall()
    assert connection.sql(text).columns[0] == "clip_id" or found is not None
