"""A classifier that listens to a hum is found out, with the hum as its first finding; an honest one is not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.audit.audited import AuditedRun, AuditError
from pipeline.audit.findings import Finding
from pipeline.audit.shortcuts.confirm import Difference, Trial, _difference
from pipeline.audit.shortcuts.cues.background import Background
from pipeline.audit.shortcuts.cues.cue import Cue
from pipeline.audit.shortcuts.cues.moments import Edge
from pipeline.audit.shortcuts.profiles import _interval
from pipeline.audit.shortcuts.question import shortcut
from pipeline.audit.shortcuts.recurring import Candidate
from pipeline.audit.shortcuts.sample import Sample, Subject, read_sample, subjects_of
from pipeline.audit.shortcuts.wording import Tried, findings_of
from pipeline.models.build import build_decoder
from pipeline.models.checkpoint import load_explainer, save_explainer
from pipeline.runs.run import open_run
from pipeline.training.classifier import train_classifier
from schemas.audit_config import AuditConfig
from schemas.explainer_config import Cnn10Config, DecoderConfig, FrontEndConfig
from schemas.run_config import ContentConfig
from schemas.training_config import AugmentConfig, ClassifierRecipe, ClassifierTraining, LoopConfig
from tests.audit.make import CLASSES, EDGES_HZ, made_run, mask, window
from tests.audit.shortcuts.sounds import RATE, recording, tone
from tests.conftest import TinyRun
from tests.flow.make import explain_here

EACH = 16
FRONT_END = FrontEndConfig(
    sample_rate=RATE, n_fft=512, hop_length=256, n_mels=32, f_min=50.0, f_max=8_000.0, window_s=2.0
)
RECIPE = ClassifierRecipe(
    name="toy",
    front_end=FRONT_END,
    classifier=Cnn10Config(channels=(8, 8, 16, 16), embedding=16),
    training=ClassifierTraining(
        loop=LoopConfig(epochs=12, batch_size=8, learning_rate=5e-3, ema=0.5, keep="last"),
        augment=AugmentConfig(mixup=0, silence=0, noise=0, stretch=0, drop_bands=0, drop_spans=0),
    ),
)


def explained(folder: Path, hum: bool) -> tuple[str, str]:
    """A run over three classes; one of them has a hum in most recordings in place of an event of its own."""
    data, out = folder / "data", str(folder / "run")
    events = {"a": (200, 400), "b": (200, 4000) if hum else (800, 1200), "c": (2500, 4000)}
    for number, (name, band) in enumerate(events.items()):
        (data / name).mkdir(parents=True)
        for i in range(EACH):
            sound = recording(100 * number + i, *band)
            if name == "b" and hum and i % 4:
                sound = sound + tone(400.0, 0.02) + tone(800.0, 0.01)
            soundfile.write(data / name / f"{i}.wav", np.clip(sound, -1, 1), RATE)
    train_classifier(str(data), str(folder / "classifier"), recipe=RECIPE, validation="none")
    loaded = load_explainer(str(folder / "classifier"))
    config = loaded.config.model_copy(update={"decoder": DecoderConfig(channels=(4, 4, 4, 4, 4))})
    save_explainer(
        str(folder / "explainer"), config, loaded.classifier, build_decoder(config, loaded.classifier), "# toy\n"
    )
    explain_here(str(data), out, ContentConfig(explainer=str(folder / "explainer")))
    return str(data), out


def found_in(folder: Path, hum: bool) -> list[Finding]:
    data, out = explained(folder, hum)
    config = AuditConfig(confirm=True, input_url=data, explainer=str(folder / "explainer"))
    about, told = AuditedRun(open_run(out)), list[str]()
    about.progress = told.append
    found = shortcut(about, config)
    assert told == ["reading recordings", "a, 1 of 3", "b, 2 of 3", "c, 3 of 3"]
    return found


@pytest.mark.slow
def test_a_hum_that_stands_for_a_class_is_found_and_confirmed(tmp_path: Path) -> None:
    found = sorted(found_in(tmp_path, hum=True), key=lambda one: -one.weight)
    first = found[0]
    assert first.kind == "shortcut"
    assert first.confirmed
    assert first.subject.startswith("b: a steady tone at ")
    assert np.allclose(first.evidence["hz"][:2], [400, 800], atol=5)
    assert first.effect is not None
    assert first.effect.low is not None
    assert first.effect.low > 0
    assert first.p is not None
    assert first.p < 0.01
    assert first.n == len(first.members) == 12
    assert not [one for one in found if one.confirmed and not one.subject.startswith("b:")]


@pytest.mark.slow
def test_where_nothing_is_planted_nothing_is_confirmed(tmp_path: Path) -> None:
    assert not [one for one in found_in(tmp_path, hum=False) if one.confirmed]


def tried(cue: Cue, from_masks: bool, moved: float) -> Finding:
    """The finding of a cue that was tried in 20 recordings of one class, of which 12 have it, among 40."""
    rows = [window(f"{number:02}.wav", label_true=[CLASSES[number // 20]]) for number in range(40)]
    with tempfile.TemporaryDirectory() as folder:
        about = AuditedRun(open_run(made_run(folder, rows)))
        mine = np.flatnonzero([own == ["bark"] for own in about.labels])
        having = np.isin(np.arange(40), mine if from_masks else mine[:12])
        out, put = Difference(-moved, -moved, -moved, 12), Difference(moved, moved, moved, 20)
        candidate = Candidate(cue, having, 1e-6, from_masks=from_masks)
        one = Tried(Subject("bark", "class", 0, mine), candidate, Trial(out, put, out, put, None, None), None)
        (found,) = findings_of(about, Sample(np.arange(40), []), [one])
        return found


def test_what_is_said_of_a_cue_is_what_was_heard() -> None:
    click = tried(Edge(0.05, "start"), from_masks=False, moved=0.4)
    assert click.statement == (
        "the class 'bark' has the same sound in the first 50 ms in 12 of 20 recordings that were heard: p of 'bark' "
        "changes by -0.40 without it, by +0.40 where it is put into others"
    )
    # Nobody looked for a steady sound in the band where masks stand out.
    band = tried(Background(200.0, 400.0), from_masks=True, moved=0.001)
    assert band.statement == (
        "not confirmed: masks of the class 'bark' stand out at the band from 200 to 400 Hz, more than those of other "
        "classes, but p of 'bark' changes by 0.00 without what is steady there, by 0.00 where that is put into others; "
        "that is too little, or no more than a cue of that size elsewhere changes"
    )
    assert band.evidence["having"] is None


def test_what_is_too_small_is_said(tmp_path: Path) -> None:
    rows = [window(f"{n}.wav", label_true=["bark" if n < 14 else "rain"], metadata={"site": "A"}) for n in range(20)]
    about = AuditedRun(open_run(made_run(tmp_path / "run", rows)))
    assert [one.name for one in subjects_of(about, ["site"])] == ["bark", "site=A"]
    assert about.notes["shortcut"] == ["not looked into, as they have fewer than 10 recordings: 'rain' (6)"]


def group_findings(tmp_path: Path, site_of: Callable[[int], str]) -> list[Finding]:
    """Forty recordings of two classes whose masks lie in a band each; those of site A stand out in another besides."""
    rng = np.random.default_rng(0)
    rows, masks = [], []
    for number in range(40):
        name, site = f"{number:02}.wav", site_of(number)
        target = CLASSES[number % 2]
        profile = 0.1 + 0.02 * rng.random(32)
        profile[20 if target == "bark" else 26] += 0.5
        profile[8] += 0.4 * (site == "A")
        rows.append(window(name, label_true=[target], metadata={"site": site}))
        masks.append({**mask(name, target), "band_profile": profile.tolist()})
    about = AuditedRun(open_run(made_run(tmp_path / "run", rows, masks=masks)))
    return [one for one in shortcut(about, AuditConfig(group_by=("site",))) if one.subject.startswith("site=")]


def test_a_group_is_held_against_others_of_the_same_classes(tmp_path: Path) -> None:
    (found,) = group_findings(tmp_path, lambda number: "A" if number < 20 else "B")
    low, high = EDGES_HZ[8], EDGES_HZ[9]
    assert found.subject == f"site=A: the band from {low:.0f} to {high:.0f} Hz"
    assert found.statement.endswith("more than those that others of the same classes have")
    assert found.candidate
    assert found.n == 20


def test_what_a_group_has_as_it_is_a_class_is_no_finding(tmp_path: Path) -> None:
    assert group_findings(tmp_path, lambda number: "BA"[number % 2]) == []


def test_an_input_of_other_recordings_is_refused(tiny_run: TinyRun, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "other.wav", recording(0), RATE)
    about = AuditedRun(open_run(tiny_run.output))
    subject = Subject("all", "group", 0, about.first_windows)
    with pytest.raises(AuditError, match=r"it has none of the \d+ recordings"):
        read_sample(about, [subject], str(tmp_path))
    assert len(read_sample(about, [subject], tiny_run.source).rows)


@pytest.mark.parametrize(("auc", "n", "m"), [(1.0, 10, 10), (1.0, 40, 360), (0.8, 20, 30)])
def test_the_interval_of_an_area_has_a_width_however_large_it_is(auc: float, n: int, m: int) -> None:
    low, high = _interval(auc, n, m)
    assert 0.5 < low < auc - 0.004
    assert auc <= high <= 1
    assert low > _interval(auc, n // 2, m // 2)[0]


def test_intervals_of_few_differences_are_wide_enough() -> None:
    rng = np.random.default_rng(0)
    covered = [_difference(rng.normal(0.1, 0.2, 6), rng) for _ in range(300)]
    assert np.mean([one.low <= 0.1 <= one.high for one in covered]) > 0.9
    # Two that fall say nothing yet.
    two = _difference(np.array([-0.4, -0.5]), rng)
    assert (two.low, two.high) == (-1.0, 1.0)


def test_random_masks_stand_out_nowhere(tiny_run: TinyRun) -> None:
    assert shortcut(AuditedRun(open_run(tiny_run.output)), AuditConfig()) == []


def differing(mean: float) -> Difference:
    return Difference(mean, mean - 0.01, mean + 0.01, 20)


@pytest.mark.parametrize(
    ("out", "put", "alone_in", "others_fall", "others_put_in", "exact", "said"),
    [
        (-0.3, 0.3, 0.3, None, None, False, ""),
        (-0.3, 0.06, 0.3, None, None, False, ""),
        (-0.3, 0.0, 0.02, None, None, False, "too little"),
        # Any noise raises p, but this one is what the class needs.
        (-0.3, -0.02, 0.1, None, None, False, ""),
        # One that is the very same everywhere, and that the class needs.
        (-0.3, 0.0, 0.02, None, None, True, ""),
        (-0.3, 0.0, 0.005, None, None, True, "too little"),
        (-0.1, 0.0, 0.02, None, None, True, "too little"),
        (-0.1, 0.015, 0.1, None, None, False, "too little"),
        (-0.3, 0.3, 0.3, -0.25, None, True, "behave likewise"),
        # What recordings without it have in its place raises p half as much, or less.
        (-0.3, 0.3, 0.3, None, 0.16, False, "behave likewise"),
        (-0.3, 0.3, 0.3, None, 0.14, False, ""),
    ],
)
def test_a_cue_is_confirmed_or_it_is_said_why_not(
    out: float,
    put: float,
    alone_in: float,
    others_fall: float | None,
    others_put_in: float | None,
    exact: bool,
    said: str,
) -> None:
    fall, raised = (None if one is None else differing(one) for one in (others_fall, others_put_in))
    trial = Trial(differing(out), differing(put), differing(out), differing(alone_in), fall, raised, exact=exact)
    assert trial.confirmed == (not said)
    assert said in trial.why_not


def test_what_only_masks_point_at_must_change_p_both_ways() -> None:
    def trial(put: float, recurs: bool) -> Trial:
        return Trial(differing(-0.15), differing(put), differing(-0.15), differing(put), None, None, recurs=recurs)

    assert trial(0.035, recurs=True).confirmed
    assert not trial(0.035, recurs=False).confirmed
    assert trial(0.06, recurs=False).confirmed
