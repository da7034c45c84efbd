"""Wrong labels are found and named, where there is enough to judge them by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.audit.audit import audit
from pipeline.audit.audited import AuditedRun
from pipeline.audit.findings import Finding
from pipeline.audit.label_error import _wrong, judge, label_error
from pipeline.audit.probes import foldings_for, folds_of, groups_of_same_sound, probe_labels
from pipeline.inputs.shards import clip_id
from pipeline.runs.run import open_run
from schemas.audit_config import AuditConfig
from tests.audit.make import CLASSES, made_run, mask, window

pytestmark = pytest.mark.slow

OWN = {name: np.eye(3)[place] * 3 for place, name in enumerate(CLASSES)}


def labelled(wrong: Mapping[int, str], each: int = 15, **columns: Any) -> list[dict[str, Any]]:
    """Recordings whose embeddings are of three clusters, `each` of one class; some, by number, are labelled wrong."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(3 * each):
        name = CLASSES[number // each]
        embedding = OWN[name] + 0.2 * rng.standard_normal(3)
        given = {"embedding": embedding.tolist(), "label_true": [wrong.get(number, name)], **columns}
        rows.append(window(f"{number}.wav", **given))
    return rows


def asked(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> tuple[dict[str, Finding], AuditedRun]:
    masks = settings.pop("masks", [])
    right = settings.pop("right", frozenset())
    about = AuditedRun(open_run(made_run(folder / "run", rows, masks=masks)), found_right=right)
    return {one.subject: one for one in label_error(about, AuditConfig(**settings))}, about


def test_a_wrong_label_is_found_with_what_it_should_be(tmp_path: Path) -> None:
    found, about = asked(tmp_path, labelled({3: "rain", 4: "rain", 40: "bark"}), masks=[mask("3.wav", "bark")])
    assert found.keys() == {"rain", "bark"}
    rain = found["rain"]
    assert {member.clip_id: member.suggestion for member in rain.members} == dict.fromkeys(
        (clip_id("3.wav"), clip_id("4.wav")), "bark"
    )
    assert (rain.n, rain.share) == (2, pytest.approx(2 / 17))
    assert rain.statement == "2 of 17 recordings labelled 'rain' seem to be 'bark'"
    # One of them has a mask of what it should be, to be listened to.
    assert rain.evidence["suggestion explained"] == 1
    assert not about.notes


def test_a_label_that_is_unlikely_beside_a_likely_one_is_doubted_whatever_is_counted() -> None:
    labels = np.repeat([0, 1], 30)
    probabilities = np.where(np.eye(2, dtype=bool)[labels], 0.95, 0.05)
    probabilities[0], probabilities[1], probabilities[2] = (0.09, 0.91), (0.3, 0.7), (0.04, 0.96)
    three = np.column_stack([probabilities, np.zeros(60)])
    three[3], three[4] = (0.04, 0.72, 0.24), (0.06, 0.72, 0.22)
    assert np.flatnonzero(_wrong(labels, three)).tolist() == [0, 2, 3]


def test_right_labels_are_left_alone(tmp_path: Path) -> None:
    assert asked(tmp_path, labelled({}))[0] == {}


def test_a_label_of_few_recordings_is_not_judged_and_said_so(tmp_path: Path) -> None:
    rows = labelled({})
    few = [window(f"few{number}.wav", label_true=["hum"], embedding=[3.0, 0.0, 0.0]) for number in range(6)]
    found, about = asked(tmp_path, [*rows, *few])
    assert found == {}
    assert about.notes["label_error"] == [
        "not judged, as they have fewer than 10 recordings that share no sound: 'hum' (6)"
    ]
    assert about.judged == {"label_error": len(rows)}


def test_without_labels_nothing_is_said_but_why(tmp_path: Path) -> None:
    found, about = asked(tmp_path, labelled({}, label_true=[]))
    assert found == {}
    assert "no recording has a label" in about.notes["label_error"][0]


def test_labels_that_the_embeddings_do_not_tell_are_not_judged(tmp_path: Path) -> None:
    rows = [{**row, "label_true": [("wet", "dry")[number % 2]]} for number, row in enumerate(labelled({}))]
    found, about = asked(tmp_path, rows)
    assert found == {}
    assert "no more than guessing (51%)" in about.notes["label_error"][0]
    assert about.judged == {"label_error": 0}


def test_silent_recordings_are_not_judged(tmp_path: Path) -> None:
    silent = [
        window(f"s{number}.wav", silence=1.0, embedding=[0.0, 3.0, 0.0], label_true=["bark"]) for number in (0, 1)
    ]
    found, about = asked(tmp_path, [*labelled({}), *silent])
    assert found == {}
    assert about.notes["label_error"] == ["not judged, as they are silent: 2 recordings"]
    assert about.judged == {"label_error": 45}


def test_copies_of_one_recording_are_no_label_that_can_be_judged(tmp_path: Path) -> None:
    rows = labelled({})
    for row in rows[:15]:
        row |= {"sound_sha256": "one", "embedding": rows[0]["embedding"]}
    found, about = asked(tmp_path, rows)
    assert found == {}
    assert "share no sound: 'bark' (1)" in about.notes["label_error"][0]


@pytest.mark.parametrize("names", [CLASSES, ("bark", "bark", "bark")])
def test_a_label_that_all_recordings_have_is_not_judged(names: tuple[str, ...], tmp_path: Path) -> None:
    rows = labelled({})
    for number, row in enumerate(rows):
        row["label_true"] = [names[number // 15], "sound"]
    found, about = asked(tmp_path, rows)
    assert found == {}
    assert "as all labelled recordings have them: " in about.notes["label_error"][0]
    assert "'sound'" in about.notes["label_error"][0]
    assert about.judged == {"label_error": 45 if names == CLASSES else 0}


def test_windows_of_a_recording_are_one_recording(tmp_path: Path) -> None:
    rows = labelled({3: "rain"})
    other = {**rows[3], "window_id": rows[3]["window_id"][:-1] + "1", "window_index": 1, "sound_sha256": "other"}
    found, _ = asked(tmp_path, [*rows, other])
    assert found["rain"].n == len(found["rain"].members) == 1
    assert found["rain"].evidence["of"] == 16


def test_a_label_that_a_person_gave_is_not_doubted(tmp_path: Path) -> None:
    # In the run itself these two would be named.
    assert "rain" in asked(tmp_path / "named", labelled({3: "rain", 4: "rain"}))[0]
    url = made_run(tmp_path / "run", labelled({}))
    marks = tmp_path / "marks.csv"
    lines = [f"{clip_id(f'{number}.wav')},wrong,rain" for number in (3, 4)]
    marks.write_text("\n".join(["clip_id,mark,label", *lines, "elsewhere,right,", f"{clip_id('5.wav')},unsure,rian"]))
    found = audit(url, kinds=["label_error"], reviewed=str(marks))
    assert found.findings == []
    assert found.notes["label_error"] == [
        "1 of 4 marks are of recordings that the run does not have",
        "labels that no recording had before the marks: 'rian': check their spelling",
    ]


def test_what_was_found_right_is_not_named_again(tmp_path: Path) -> None:
    found, _ = asked(tmp_path, labelled({3: "rain", 4: "rain"}), right=frozenset([clip_id("3.wav")]))
    assert [member.clip_id for member in found["rain"].members] == [clip_id("4.wav")]


def test_copies_of_one_sound_do_not_vouch_for_each_other() -> None:
    assert groups_of_same_sound([["a"], ["b"], ["a", "c"], ["c"], []]).tolist() == [0, 1, 0, 0, 2]
    labels = np.repeat([0, 1, 2], 20)
    groups = np.arange(60) // 2
    folds = folds_of(labels, groups, seed=0)
    assert all(len(set(folds[groups == group])) == 1 for group in range(30))
    assert all(np.bincount(folds[labels == label], minlength=5).min() == 4 for label in range(3))
    # A wrong label that a copy has as well would be learnt from the copy.
    rng = np.random.default_rng(1)
    x = np.repeat(np.eye(3), 20, axis=0) * 3 + 0.5 * rng.standard_normal((60, 3))
    x[1] = x[0]
    labels[:2] = 1
    probed = probe_labels(x.astype(np.float32), labels, groups)
    assert probed.probabilities[:2].argmax(axis=1).tolist() == [0, 0]
    np.testing.assert_allclose(probed.probabilities.sum(axis=1), 1, atol=1e-6)


def test_a_doubt_of_some_foldings_alone_is_counted_and_of_a_third_is_enough() -> None:
    seeds = foldings_for(400, seed=3)
    assert len(set(seeds)) == len(seeds) == 9
    assert not set(seeds) & set(foldings_for(400, seed=4))
    assert [len(foldings_for(n)) for n in (2_000, 2_001, 10_000, 10_001)] == [9, 3, 3, 1]
    # Two clusters that overlap: which side some recordings fall on depends on what was learnt.
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(side, 1.0, (40, 8)) for side in (-0.4, 0.4)])
    labels = np.repeat([0, 1], 40)
    labels[rng.choice(80, 10, replace=False)] ^= 1
    found = judge(x.astype(np.float32), labels, np.arange(80))
    assert any(0 < doubt < 1 / 3 for doubt in found.doubts)
    assert any(1 / 3 < doubt < 1 for doubt in found.doubts)
    assert set(np.flatnonzero(found.wrong)) == {
        i for i in range(80) if found.doubts[i] >= 1 / 3 and found.probabilities[i].argmax() != labels[i]
    }
    assert np.allclose(9 * found.doubts, np.round(9 * found.doubts))


def test_the_classifiers_own_probabilities_judge_only_where_it_has_not_heard_the_recordings(tmp_path: Path) -> None:
    # It is sure that number 20, labelled rain, is a siren, which the embeddings do not show.
    rows = labelled({})
    for number, row in enumerate(rows):
        own = 2 if number == 20 else number // 15
        row["probabilities"] = (np.eye(3)[own] * 0.1 + 0.3 if number != 20 else np.array([0.01, 0.01, 0.98])).tolist()
    found, _ = asked(tmp_path / "heard", rows)
    assert found == {}
    found, _ = asked(tmp_path / "new", rows, trained_on="no")
    assert [member.suggestion for member in found["rain"].members] == ["siren"]
    assert "own" in found["rain"].evidence["probabilities"]


def test_of_several_labels_the_one_too_many_and_the_one_that_lacks_are_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows, truth = [], rng.random((120, 3)) < 0.4
    truth[~truth.any(axis=1), 0] = True
    for number, own in enumerate(truth):
        given = own.copy()
        if number in (5, 6):
            given[1] = not given[1]
        embedding = 4 * own + 0.4 * rng.standard_normal(3)
        labels = [name for name, there in zip(CLASSES, given, strict=True) if there] or ["bark"]
        rows.append(window(f"{number}.wav", embedding=embedding.tolist(), label_true=labels))
    later = {**window("5.wav", 1), "embedding": rows[5]["embedding"], "label_true": rows[5]["label_true"]}
    found, _ = asked(tmp_path, [*rows, later], masks=[mask("5.wav", "rain", 1)])
    # The window to listen to is the one that is explained for the label.
    heard = {member.clip_id: member.window_id for one in found.values() for member in one.members}
    assert heard[clip_id("5.wav")] == later["window_id"]
    named = {(member.clip_id, member.suggestion) for one in found.values() for member in one.members}
    expected = {(clip_id(f"{number}.wav"), "also rain" if truth[number, 1] else "not rain") for number in (5, 6)}
    assert expected <= named
    assert len(named) <= 4
