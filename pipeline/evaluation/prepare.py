"""Prepare everything that an evaluation needs from its configuration, and refuse what cannot be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from pipeline.attribution.baselines import BASELINES
from pipeline.evaluation.batch import WindowBatch, classify_windows
from pipeline.evaluation.contaminate import (
    CLEAN,
    Audio,
    Contamination,
    clean_audio,
    contaminated_audio,
    parse_contamination,
)
from pipeline.evaluation.localisation import Scenes, ideal, scenes_of
from pipeline.evaluation.methods import (
    OWN,
    ComparedMethod,
    chosen_baselines,
    classifier_digest,
    compared_methods,
    own_name,
)
from pipeline.evaluation.names import EvaluationError, known_name, same_name
from pipeline.inputs.load_windows import load_windows
from pipeline.inputs.selection import parse_selection
from pipeline.inputs.window_set import WindowSet
from pipeline.lmac.explainer import Explainer
from pipeline.models.classifier import Classifier
from schemas.evaluation_config import EvaluationConfig


class Progress:
    """Receives the progress of an evaluation; this one ignores it, subclasses show it."""

    def begin(self, what: str, total: int) -> None:
        """Work of `total` steps begins."""

    def step(self, count: int) -> None:
        """`count` more steps of the work are done."""

    def note(self, text: str) -> None:
        """Something is left out, and why."""

    def left_out(self, key: str, reason: str) -> None:
        """A recording cannot be decoded."""


@dataclass(frozen=True)
class Evaluation:
    """The methods to compare (`lmac` first) and the audio to compare them on.

    `audio` is made from `windows`, and `curves` names the audio with curves. `truth` `[W, C]` marks the true classes,
    none if they are unknown; `scenes` are the windows' scenes, if any; `left_out` are the baselines that do not suit
    the classifier, with the reason. `classifier` is the explainer's, folded: it gives the same output in less time,
    but attribution methods need the modules of the unfolded one.
    """

    explainer: Explainer
    classifier: Classifier
    windows: WindowSet
    truth: np.ndarray
    audio: Sequence[Audio]
    curves: Sequence[str]
    methods: Sequence[ComparedMethod]
    scenes: Scenes | None
    left_out: Mapping[str, str]
    config: EvaluationConfig

    def batches(self, audio: Audio, windows: Tensor) -> Iterator[WindowBatch]:
        """Yield the windows with these numbers, classified batch by batch."""
        for indices in windows.split(self.config.batch_size):
            waveform = audio.waveforms(indices).to(self.explainer.device)
            yield classify_windows(self.classifier, waveform, indices)


def prepare(input_url: str, config: EvaluationConfig, scratch: Path, device: str, progress: Progress) -> Evaluation:
    """Load explainers and audio; `scratch` is a folder to which windows are decoded and from which they are read.

    Raises EvaluationError for what cannot be evaluated with these settings; ExplainerError, InputError, StorageError,
    TrainingDataError as loading does.
    """
    wanted = [parse_contamination(text) for text in config.contaminate if not same_name(text, "none")]
    names = [CLEAN, *(one.name for one in wanted)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise EvaluationError(f"--contaminate gives {twice[0]!r} twice: each audio needs a name of its own")
    curves = _curves(config.curves, wanted)
    own = [OWN] if config.refine is None else [OWN, own_name(config.refine)]
    known = (*own, *BASELINES, *config.against)
    tested = tuple(known_name(name, known, "sanity.methods") for name in config.sanity.methods)
    config = config.model_copy(update={"sanity": config.sanity.model_copy(update={"methods": tested})})
    explainer = Explainer.load(config.explainer, device)
    classifier = explainer.passes.folded
    baselines, left_out = chosen_baselines(config.methods, explainer)
    methods = compared_methods(explainer, baselines, config.against, config.refine, config.seed)
    for name, reason in left_out.items():
        progress.note(f"{name} is left out: {reason}")
    windows = _windows(input_url, config, explainer, scratch / "input", progress)
    known_labels = set(explainer.config.labels)
    labels = [known_labels.intersection(found) for found in windows.labels]
    if windows.about:
        progress.note(windows.about)
    if strange := sorted({label for found in windows.labels for label in found} - known_labels):
        progress.note(f"labels that are none of the classifier's classes count as unknown: {', '.join(strange[:5])}")
    front_end = explainer.config.front_end
    audio = [clean_audio(windows)]
    for number, one in enumerate(wanted):
        audio.append(contaminated_audio(one, windows, labels, front_end, scratch / f"noise-{number}", config.seed))
    scenes = scenes_of(windows, front_end, progress.note)
    if scenes is not None:
        digest = classifier_digest(explainer.classifier, explainer.config.labels)
        methods.append(ideal(explainer.classifier, scenes, digest))
    truth = np.array([[name in found for name in explainer.config.labels] for found in labels], bool)
    truth = truth[windows.recording_index]
    return Evaluation(
        explainer=explainer,
        classifier=classifier,
        windows=windows,
        truth=truth,
        audio=audio,
        curves=curves,
        methods=methods,
        scenes=scenes,
        left_out=left_out,
        config=config,
    )


def _windows(
    input_url: str, config: EvaluationConfig, explainer: Explainer, scratch: Path, progress: Progress
) -> WindowSet:
    windows = load_windows(
        input_url,
        explainer.config.front_end,
        scratch,
        reading=config.reading(),
        classes=explainer.config.labels,
        selections=[parse_selection(config.select)] if config.select else [],
        on_skip=progress.left_out,
    )
    if config.limit is not None and config.limit < len(windows.keys):
        drawn = np.random.default_rng(config.seed).permutation(len(windows.keys))[: config.limit]
        windows = windows.recordings(np.sort(drawn).tolist())
    return windows


def _curves(given: Sequence[str] | None, wanted: Sequence[Contamination]) -> tuple[str, ...]:
    names = [CLEAN, *(one.name for one in wanted)]
    if given is None:
        return tuple(name for name in names if name in (CLEAN, "mixture"))
    found = []
    for text in given:
        # Either as printed, or as given to --contaminate.
        name = parse_contamination(text).name if ":" in text and text not in names else text
        found.append(known_name(name, (*names, "none"), "--curves"))
    return tuple(name for name in dict.fromkeys(found) if name != "none")
