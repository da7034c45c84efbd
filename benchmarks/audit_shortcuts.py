"""Shortcuts planted into ESC-10 or scenes: does a classifier fall for them, and does the audit find them?

python -m benchmarks.audit_shortcuts ESC10 OUT
python -m benchmarks.audit_shortcuts scenes OUT
python -m benchmarks.audit_shortcuts ESC10 OUT --planted 45 --clean 10 --limit 5 --at-once 2

Each setting plants a cue into recordings of a class, holds a fold out, trains a classifier and a decoder on them,
explains and audits them. A classifier fell for the cue if it gives the class to held out recordings that get the cue,
or no longer gives it to those it was trained on when they lose it. Settings that are done are not done again; the table
is of all.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from benchmarks.planted_cues import CUES, Put, Setting, cue_of, settings
from pipeline.audio.decode import decode
from pipeline.audit.audited import AuditedRun
from pipeline.audit.findings import Finding, in_order
from pipeline.audit.shortcuts.question import shortcut
from pipeline.datasets.scenes.scene import SceneConfig, render_scene
from pipeline.lmac.explainer import Explainer
from pipeline.runs.run import open_run
from pipeline.training.classifier import train_classifier
from pipeline.training.decoder import train_decoder
from schemas.audit_config import AuditConfig
from schemas.explainer_config import Cnn10Config, DecoderConfig, FrontEndConfig
from schemas.run_config import ContentConfig
from schemas.targets import Targets
from schemas.training_config import (
    AugmentConfig,
    ClassifierRecipe,
    ClassifierTraining,
    DecoderRecipe,
    DecoderTraining,
    LoopConfig,
)
from tests.flow.make import explain_here

RATE, SECONDS = 32_000, 5.0
N = round(RATE * SECONDS)
FELL, ALONE = 0.2, 0.5
_HARDLY_DBFS = -70.0
# Of ESC-10 and of scenes alike.
CLASSES = 10
_SCENES, _SCENES_SEED = 400, 77
FRONT_END = FrontEndConfig(f_min=30.0, f_max=15_000.0, window_s=SECONDS)
CLASSIFIER = ClassifierRecipe(
    name="planted",
    front_end=FRONT_END,
    classifier=Cnn10Config(channels=(12, 24, 48, 96), embedding=96, dropout=0.0),
    training=ClassifierTraining(
        loop=LoopConfig(epochs=8, batch_size=16, learning_rate=3e-3, ema=0.9, keep="last"),
        # Rotated windows have clicks anywhere but at their start.
        augment=AugmentConfig(
            roll=False, mixup=0, silence=0, gain_db=6, noise=0, stretch=0, drop_bands=0, drop_spans=0
        ),
    ),
)
DECODER = DecoderRecipe(
    decoder=DecoderConfig(channels=(16, 16, 16, 16, 16)),
    training=DecoderTraining(loop=LoopConfig(epochs=1, batch_size=16, learning_rate=2e-3, keep="last")),
)
# What the audit calls each of the cues.
FOUND_AS = {"hum": "tone", "tone": "tone", "click": "edge", "lowpass": "cutoff", "background": "background"}

Recipe = TypeVar("Recipe", ClassifierRecipe, DecoderRecipe)
Recordings = list[tuple[str, int, NDArray[np.float32]]]


def recordings(source: str) -> tuple[list[str], Recordings]:
    """The classes of ESC-10's folder or of `scenes`, and the class's name, fold and sound `[N]` of each recording."""
    found = _scenes() if source == "scenes" else _esc10(Path(source))
    return sorted({name for name, _, _ in found}), found


@cache
def _esc10(folder: Path) -> Recordings:
    found = []
    for place in sorted(path for path in folder.iterdir() if path.name[0].isdigit()):
        for path in sorted(place.glob("*.*")):
            sound = np.zeros(N, np.float32)
            decoded = decode(path.read_bytes(), path.name, RATE).waveform[:N]
            sound[: len(decoded)] = decoded
            found.append((place.name[6:].lower().replace(" ", "_"), int(path.name[0]), sound))
    return found


@cache
def _scenes() -> Recordings:
    config = SceneConfig(sample_rate=RATE, duration_s=SECONDS)
    scenes = (render_scene(_SCENES_SEED, index, config) for index in range(_SCENES))
    # Ten scenes in a row have each class once.
    return [(scene.label, scene.index // 10 % 5 + 1, scene.mixture) for scene in scenes]


def probabilities(explainer: Explainer, sounds: list[NDArray[np.float32]], label: int) -> NDArray[np.float64]:
    """p of a class for each sound."""
    given = []
    for first in range(0, len(sounds), 16):
        batch = torch.from_numpy(np.clip(np.stack(sounds[first : first + 16]), -1, 1))
        given.append(explainer.passes.classify(batch, None, Targets(top=1)).probabilities[:, label].double().numpy())
    return np.concatenate(given)


def tried(setting: Setting, source: str, keep: Path | None) -> dict[str, Any]:
    """Plant into the recordings of a source, train, explain, audit; what came of it.

    In the folder `keep` explainers and runs stay, and those that are there are audited as they are.
    """
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as work:
        return _tried(setting, *recordings(source), Path(work), (keep or Path(work)) / Path(source).name)


def _tried(setting: Setting, classes: list[str], clean: Recordings, work: Path, keep: Path) -> dict[str, Any]:
    begun = time.monotonic()
    put = cue_of(setting, N, RATE) if setting.cue else None
    planted = _write(setting, classes, clean, work / "data", put)
    data, kept = str(work / "data"), keep / setting.name.replace(" ", "-")
    if not (kept / "run" / "_manifest.json").exists():
        train_classifier(data, str(kept / "classifier"), recipe=_seeded(CLASSIFIER, setting.seed), validation="none")
        train_decoder(
            data,
            str(kept / "explainer"),
            recipe=_seeded(DECODER, setting.seed),
            classifier=str(kept / "classifier"),
            validation="none",
        )
        # The audit needs profiles and scores: no sound, no whole masks.
        content = ContentConfig(
            explainer=str(kept / "explainer"), listen="none", masks="none", audio_scores="none", precision="bf16"
        )
        explain_here(data, str(kept / "run"), content)
    config = AuditConfig(confirm=True, input_url=data, explainer=str(kept / "explainer"))
    found = in_order(shortcut(AuditedRun(open_run(kept / "run")), config))
    explainer = Explainer.load(str(kept / "explainer"))
    held = [(name, sound) for name, fold, sound in clean if fold == setting.held_out]
    confirmed = {one.subject for one in found if one.confirmed}
    result = {
        **vars(setting),
        "name": setting.name,
        "accuracy": _accuracy(explainer, held, classes),
        "others_confirmed": sorted(
            one for one in confirmed if not (setting.cue and one.startswith(f"{classes[setting.label]}:"))
        ),
        "seconds": round(time.monotonic() - begun),
        **({} if put is None else _fallen(setting, classes[setting.label], explainer, held, planted, put)),
        **({} if put is None else _first(setting, classes[setting.label], found)),
    }
    return result


def _seeded(recipe: Recipe, seed: int) -> Recipe:
    """A recipe with another seed."""
    loop = recipe.training.loop.model_copy(update={"seed": seed})
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"loop": loop})})


def _write(
    setting: Setting, classes: list[str], clean: Recordings, folder: Path, put: Put | None
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Write all folds but the one held out; what was planted, each with what it was before."""
    rng, planted = np.random.default_rng(setting.seed), []
    mine = [i for i, (name, fold, _) in enumerate(clean) if fold != setting.held_out and name == classes[setting.label]]
    having = set(rng.permutation(mine)[: round(setting.share * len(mine))].tolist()) if put else set()
    for i, (name, fold, sound) in enumerate(clean):
        if fold == setting.held_out:
            continue
        (folder / name).mkdir(parents=True, exist_ok=True)
        if i in having and put is not None:
            planted.append((sound, put(sound)))
        heard = planted[-1][1] if i in having else sound
        soundfile.write(folder / name / f"{i}.wav", np.clip(heard, -1, 1), RATE)
    return planted


def _accuracy(explainer: Explainer, held: list[tuple[str, NDArray[np.float32]]], classes: list[str]) -> float:
    each = np.stack([probabilities(explainer, [sound for _, sound in held], label) for label in range(len(classes))])
    return round(float(np.mean([classes[i] == name for i, (name, _) in zip(each.argmax(0), held, strict=True)])), 3)


def _fallen(
    setting: Setting,
    name: str,
    explainer: Explainer,
    held: list[tuple[str, NDArray[np.float32]]],
    planted: list[tuple[NDArray[np.float32], NDArray[np.float32]]],
    put: Put,
) -> dict[str, Any]:
    label = list(explainer.config.labels).index(name)
    others = [sound for other, sound in held if other != name]
    gained = probabilities(explainer, [put(one) for one in others], label) - probabilities(explainer, others, label)
    lost = probabilities(explainer, [after for _, after in planted], label) - probabilities(
        explainer, [before for before, _ in planted], label
    )
    return {
        "gained": round(float(gained.mean()), 3),
        "lost": round(float(lost.mean()), 3),
        "alone": _alone(explainer, label, put),
        "fell": bool(gained.mean() >= FELL or lost.mean() >= FELL),
    }


def _alone(explainer: Explainer, label: int, put: Put) -> float:
    """p of the class for the cue alone, in noise that is hardly heard, less that of the noise."""
    noise = 10 ** (_HARDLY_DBFS / 20) * np.random.default_rng(0).standard_normal((8, N)).astype(np.float32)
    difference = probabilities(explainer, [put(one) for one in noise], label) - probabilities(
        explainer, list(noise), label
    )
    return round(float(difference.mean()), 3)


def _first(setting: Setting, name: str, found: list[Finding]) -> dict[str, Any]:
    mine = [one for one in found if one.subject.startswith(f"{name}:")]
    assert setting.cue is not None
    right = [one.evidence.get("cue") == FOUND_AS[setting.cue] for one in mine]
    return {
        "first": mine[0].subject if mine else None,
        "confirmed": bool(mine and mine[0].confirmed),
        "found": bool(mine and right[0] and mine[0].confirmed),
        "found_at_all": any(ok and one.confirmed for ok, one in zip(right, mine, strict=True)),
    }


def show(results: list[dict[str, Any]], classes: int) -> None:
    """Print the table."""
    planted, clean = [one for one in results if one["cue"]], [one for one in results if not one["cue"]]
    fell = [one for one in planted if one["fell"]]
    print(f"{len(planted)} planted settings, of which the classifier fell for {len(fell)}; {len(clean)} clean ones")
    print(f"{'cue':12} {'planted':>8} {'fell':>5} {'first, confirmed':>17} {'confirmed':>10} {'called alone':>13}")
    for cue in (*CUES, None):
        mine = [one for one in fell if cue is None or one["cue"] == cue]
        of_cue = [one for one in planted if cue is None or one["cue"] == cue]
        # By the cue without any event, whether or not it moves p of recordings.
        alone = sum(one["alone"] >= ALONE for one in of_cue)
        first, all_ = sum(one["found"] for one in mine), sum(one["found_at_all"] for one in mine)
        print(f"{cue or 'all':12} {len(of_cue):8} {len(mine):5} {first:17} {all_:10} {alone:13}")
    alarms = sum(len({name.split(":")[0] for name in one["others_confirmed"]}) for one in results)
    asked = sum(classes - bool(one["cue"]) for one in results)
    print(f"false alarms: {alarms} of {asked} clean classes ({100 * alarms / max(1, asked):.1f}%)")
    for one in fell:
        if not one["found"]:
            print(f"  missed: {one['name']}: gained {one['gained']}, lost {one['lost']}; first {one['first']}")
    for one in results:
        for name in one["others_confirmed"]:
            print(f"  false alarm: {one['name']}: {name}")


def main() -> None:
    """Try the settings that are not done yet, and print the table of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="folder of ESC-10, or scenes")
    parser.add_argument("out", type=Path, help="file of results, a line of JSON each")
    parser.add_argument("--planted", type=int, default=45)
    parser.add_argument("--clean", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="number, and seed, of the first planted setting")
    parser.add_argument("--keep", type=Path, help="folder in which explainers and runs are kept, to be audited anew")
    parser.add_argument("--limit", type=int, help="so many settings at most this time")
    parser.add_argument("--at-once", type=int, default=1, help="processes, of one thread each")
    given = parser.parse_args()
    done = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    todo = [
        one
        for one in settings(given.first, given.planted, given.clean, CLASSES)
        if one.name not in {d["name"] for d in done}
    ]
    with ProcessPoolExecutor(given.at_once, get_context("spawn")) as pool:
        for each in as_completed(pool.submit(tried, one, given.source, given.keep) for one in todo[: given.limit]):
            done.append(each.result())
            print(json.dumps(done[-1]), flush=True)
            with given.out.open("a") as file:
                file.write(json.dumps(done[-1]) + "\n")
    show(done, CLASSES)


if __name__ == "__main__":
    main()
