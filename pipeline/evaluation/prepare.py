"""Everything an evaluation needs, made of its configuration; what cannot be done is refused here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.attribution.baselines import BASELINES
from pipeline.evaluation.contaminate import (
    CLEAN,
    Audio,
    Contamination,
    clean_audio,
    contaminated_audio,
    parse_contamination,
)
from pipeline.evaluation.contenders import OWN, Contender, chosen_baselines, classifier_digest, contenders
from pipeline.evaluation.faults import EvaluationError
from pipeline.evaluation.localisation import Scenes, ideal, scenes_of
from pipeline.inputs.labels import load_labels
from pipeline.inputs.selection import parse_selection
from pipeline.inputs.window_set import WindowSet, load_windows
from pipeline.lmac.explainer import Explainer
from pipeline.models.classifier import Classifier
from schemas.evaluation_config import EvaluationConfig


@dataclass(frozen=True)
class Evaluation:
    """What is compared on what: windows, the audio made of them, contenders (`lmac` first), `curves` the names of audio
    with curves, `truth` `[W]` true classes or -1, the scenes that the windows are, if any, and `left_out` the baselines
    that do not suit the classifier, by name why.

    `judge` is the explainer's classifier, folded: it says the same in less time, but attribution methods need the
    other's modules.
    """

    explainer: Explainer
    judge: Classifier
    windows: WindowSet
    truth: np.ndarray
    audio: Sequence[Audio]
    curves: Sequence[str]
    contenders: Sequence[Contender]
    scenes: Scenes | None
    left_out: Mapping[str, str]
    config: EvaluationConfig


def prepare(
    input_url: str,
    config: EvaluationConfig,
    scratch: Path,
    device: str,
    on_skip: Callable[[str, str], None],
    on_note: Callable[[str], None],
) -> Evaluation:
    """Load explainers and audio; `scratch` is a folder for decoded windows, which are read from there.

    `on_skip` is told of each recording that cannot be decoded, `on_note` of what else is left out. Raises
    EvaluationError for what cannot be evaluated as asked; ExplainerError, InputError, StorageError, TrainingDataError
    as loading does.
    """
    wanted = [parse_contamination(text) for text in config.contaminate]
    names = [CLEAN, *(one.name for one in wanted)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise EvaluationError(f"--contaminate gives {twice[0]!r} twice: each audio needs a name of its own")
    curves = _curves(config.curves, wanted)
    if device == "cuda" and not torch.cuda.is_available():
        raise EvaluationError("--device cuda: there is no GPU here that torch can use; leave it out for the CPU")
    if unknown := sorted(set(config.sanity.methods) - {OWN, *BASELINES, *config.against}):
        raise EvaluationError(
            f"sanity.methods names {unknown[0]!r}, which is no method: choose from {OWN} and baselines"
        )
    explainer = Explainer.load(config.explainer, device)
    judge = explainer.classifier.folded().to(memory_format=torch.channels_last)
    baselines, left_out = chosen_baselines(config.methods, explainer)
    compared = contenders(explainer, baselines, config.against, config.refine, config.seed)
    for name, reason in left_out.items():
        on_note(f"{name} is left out: {reason}")
    windows = _windows(input_url, config, explainer, scratch / "input", on_skip)
    known = [label if label in explainer.config.labels else None for label in windows.labels]
    if strange := sorted({label for label in windows.labels if label is not None and label not in known}):
        on_note(f"labels that are none of the classifier's classes count as unknown: {', '.join(strange[:5])}")
    front_end = explainer.config.front_end
    audio = [clean_audio(windows)]
    for number, one in enumerate(wanted):
        audio.append(contaminated_audio(one, windows, known, front_end, scratch / f"noise-{number}", config.seed))
    scenes = scenes_of(windows, front_end, on_note)
    if scenes is not None:
        digest = classifier_digest(explainer.classifier, explainer.config.labels)
        compared.append(ideal(explainer.classifier, scenes, digest))
    index = {label: number for number, label in enumerate(explainer.config.labels)}
    truth = np.array(
        [-1 if known[recording] is None else index[str(known[recording])] for recording in windows.recording_index]
    )
    return Evaluation(explainer, judge, windows, truth, audio, curves, compared, scenes, left_out, config)


def _windows(
    input_url: str, config: EvaluationConfig, explainer: Explainer, scratch: Path, on_skip: Callable[[str, str], None]
) -> WindowSet:
    windows = load_windows(
        input_url,
        explainer.config.front_end,
        scratch,
        labels=load_labels(config.labels, config.label_column) if config.labels else None,
        label_column=config.label_column,
        classes=explainer.config.labels,
        selections=[parse_selection(config.select)] if config.select else [],
        on_skip=on_skip,
    )
    if config.limit is not None and config.limit < len(windows.keys):
        drawn = np.random.default_rng(config.seed).permutation(len(windows.keys))[: config.limit]
        windows = windows.recordings(np.sort(drawn).tolist())
    return windows


def _curves(asked: Sequence[str] | None, wanted: Sequence[Contamination]) -> tuple[str, ...]:
    names = [CLEAN, *(one.name for one in wanted)]
    if asked is None:
        return tuple(name for name in names if name in (CLEAN, "mixture"))
    found = [text if text in (*names, "none") else parse_contamination(text).name for text in asked]
    if unknown := [name for name in found if name not in (*names, "none")]:
        raise EvaluationError(f"--curves names {unknown[0]!r}, which is not evaluated: choose from {', '.join(names)}")
    return tuple(name for name in found if name != "none")
