"""A classifier that listens to a hum is found out, with the hum as its first finding; an honest one is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.audit.audited import AuditedRun
from pipeline.audit.findings import Finding
from pipeline.audit.shortcuts.question import shortcut
from pipeline.models.build import build_decoder
from pipeline.models.checkpoint import load_explainer, save_explainer
from pipeline.runs.run import open_run
from pipeline.training.classifier import train_classifier
from schemas.audit_config import AuditConfig
from schemas.explainer_config import Cnn10Config, DecoderConfig, FrontEndConfig
from schemas.run_config import ContentConfig
from schemas.training_config import AugmentConfig, ClassifierRecipe, ClassifierTraining, LoopConfig
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
    return shortcut(AuditedRun(open_run(out)), config)


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


def test_random_masks_stand_out_nowhere(tiny_run: TinyRun) -> None:
    assert shortcut(AuditedRun(open_run(tiny_run.output)), AuditConfig()) == []
