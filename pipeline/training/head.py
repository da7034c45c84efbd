"""Train a linear head on the embeddings of a frozen CLAP: its classes are the labels, not prompts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from pipeline.inputs.window_set import TrainingDataError, WindowSet
from pipeline.lmac.arguments import choose_device
from pipeline.lmac.prefetch import waveforms_on
from pipeline.models.clap.audio import load_clap_audio
from pipeline.models.clap.clap_classifier import ClapClassifier
from pipeline.models.clap.source import resolve_clap
from pipeline.models.clap.zero_shot import PREFIX
from pipeline.storage.filesystem import display_url
from pipeline.training.classifier import recording_accuracy
from pipeline.training.loop import Scores, TrainingError
from pipeline.training.workspace import Reporter, TrainingResult, Workspace
from schemas.explainer_config import ExplainerConfig
from schemas.input_config import InputConfig

# The inverse of regularisation; embeddings have length 1, so a head needs large weights to be confident.
STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
_BATCH = 8


def train_head(
    input_url: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    classifier: str,
    name: str = "clap-head",
    window_s: float | None = None,
    labels: str | os.PathLike[str] | None = None,
    label_column: str | None = None,
    reading: InputConfig = InputConfig(),
    select: Sequence[str] = (),
    validation: str = "0.1",
    test: str | None = None,
    windows: int | None = None,
    seed: int = 0,
    device: str = "auto",
    reporter: Reporter = Reporter(),
    command: str | None = None,
) -> TrainingResult:
    """Train a linear head on the embeddings of a frozen CLAP and save both as an explainer without a decoder.

    The head is a logistic regression on embeddings `[N, D]` of length 1, one for each window.

    `input_url`, `out`, `labels`, `label_column`, `reading`, `select`, `test`, `windows`, `device`, `reporter` and
    `command` mean the same as in `train_classifier`.
    `classifier` is `clap:WHERE`, the CLAP: a shipped name, a directory, a checkpoint's path, or a Hugging Face name.
    `name` is the explainer's name, and `window_s` the length of a window in seconds, by default that of the CLAP's
    training. `validation`, in the same form as for `train_classifier`, is held out to choose the strength of
    regularisation; `seed` draws its recordings. In the returned scores `accuracy` and `loss` are defined as in
    `train_classifier`, and `strength` is the inverse of regularisation.

    Raises TrainingError if `classifier` is not a CLAP or `out` holds an explainer; ArgumentError for an unavailable
    device; ClapError if the CLAP cannot be loaded or its windows are shorter than `window_s`; TrainingDataError or
    SelectionError if a label is missing, a class has no window, or a set would be empty; DiskSpaceError if the windows
    do not fit; InputError or StorageError if the audio or the table cannot be read, or `out` cannot be written.

    >>> from lmac import train_head
    >>> from pipeline.datasets.scenes import SceneConfig, write_scenes
    >>> _ = write_scenes("scenes", 20, seed=0, config=SceneConfig(duration_s=1.0))
    >>> result = train_head("scenes", "toy-head", classifier="clap:clap-mini", validation="0.2")
    >>> sorted(result.scores["validation"])
    ['accuracy', 'loss', 'score', 'strength']
    """
    workspace = Workspace.of_call(train_head, locals(), seed)
    chosen = choose_device(device)
    if not classifier.startswith(PREFIX):
        raise TrainingError(f"a head is trained on a CLAP: give clap:WHERE, not {display_url(classifier)}")
    audio = load_clap_audio(resolve_clap(classifier.removeprefix(PREFIX)).path, window_s)
    sets = workspace.read(audio.front_end, need_labels=True)
    reporter.started(sets.how, len(sets.train), 0)
    classes = sets.train.classes
    model = audio.with_linear_head(len(classes)).to(chosen)
    held_out = embeddings_and_classes(model, sets.validation, reporter.step) if sets.validation is not None else None
    strength = fit_head(model, classes, embeddings_and_classes(model, sets.train, reporter.step), held_out)
    scores: dict[str, Scores] = {}
    if sets.validation is not None:
        scores["validation"] = {**recording_accuracy(model, sets.validation), "strength": strength}
    if sets.test is not None:
        scores["test"] = recording_accuracy(model, sets.test)
    config = ExplainerConfig(name=name, labels=classes, front_end=audio.front_end, classifier=model.config)
    return workspace.save(config, model, None, sets, scores)


def embeddings_and_classes(
    classifier: ClapClassifier, windows: WindowSet, step: Callable[[int, int], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Compute embeddings `[N, D]` of windows, each of length 1, and the shares `[N, C]` of their classes.

    `step` is called after each batch.
    """
    found = []
    # Not in inference mode: the CLAP caches tensors for the next call, which may train a decoder.
    with torch.no_grad():
        batches = torch.arange(len(windows)).split(_BATCH)
        for batch, waveforms in zip(batches, waveforms_on(classifier.device, windows, batches), strict=True):
            found.append(classifier(classifier.front_end.stft(waveforms).abs()).embedding.cpu())
            step(int(batch[-1]) + 1, len(windows))
    return torch.cat(found).numpy(), windows.targets_of(torch.arange(len(windows))).numpy()


def fit_head(
    classifier: ClapClassifier,
    classes: Sequence[str],
    train: tuple[np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray] | None,
) -> float:
    """Fit the head in place by logistic regression on embeddings `[N, D]` and shares `[N, C]` of their classes.

    Returns the inverse strength of its regularisation: the one of `STRENGTHS` with the lowest cross-entropy on the
    held-out windows, or the third if there are none. Raises TrainingDataError for a class without any window.
    """
    assert classifier.classify is not None
    x, shares = train
    missing = np.flatnonzero(~shares.any(axis=0)).tolist()
    if missing:
        raise TrainingDataError(
            f"there is no window to learn {', '.join(classes[index] for index in missing[:5])} from: each label needs "
            "a recording that is trained on; leave recordings with other labels out of the data or the table of labels"
        )
    strengths = STRENGTHS if held_out is not None else STRENGTHS[2:3]
    # A window of several classes is repeated for each of them, weighted by its share.
    rows, y = np.nonzero(shares)
    weight = shares[rows, y]
    fitted = [LogisticRegression(C=strength, max_iter=2000).fit(x[rows], y, weight) for strength in strengths]
    losses = [_loss(head, *held_out) if held_out is not None else 0.0 for head in fitted]
    best = fitted[int(np.argmin(losses))]
    weights, bias = _all_classes(best)
    with torch.no_grad():
        classifier.classify.weight.copy_(torch.from_numpy(weights))
        classifier.classify.bias.copy_(torch.from_numpy(bias))
    return float(best.C)


def _loss(head: LogisticRegression, x: np.ndarray, y: np.ndarray) -> float:
    # Column k of the probabilities is class k, as the classes are numbered from 0 without a gap.
    return float(-(head.predict_log_proba(x) * y).sum(axis=1).mean())


def _all_classes(head: LogisticRegression) -> tuple[np.ndarray, np.ndarray]:
    """Return weights `[C, D]` and bias `[C]`; for two classes sklearn keeps a single row, that of the second."""
    if len(head.classes_) > 2:
        return head.coef_, head.intercept_
    return np.stack([-head.coef_[0], head.coef_[0]]) / 2, np.stack([-head.intercept_[0], head.intercept_[0]]) / 2
