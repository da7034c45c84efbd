"""A linear head on the embeddings of a frozen CLAP: classes learnt from labels, where prompts do not say them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from pipeline.inputs.window_set import TrainingDataError, WindowSet
from pipeline.models.clap.classifier import ClapClassifier

# Weaker and weaker regularisation; embeddings are of length 1, so that a head needs large weights to be sure.
STRENGTHS = (1.0, 10.0, 100.0, 1000.0)


def embeddings_and_classes(
    classifier: ClapClassifier, windows: WindowSet, step: Callable[[int], None], batch_size: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings `[N, D]` of windows, each of length 1, and class numbers `[N]`; `step` is told how many are done."""
    found = []
    with torch.inference_mode():
        for batch in torch.arange(len(windows)).split(batch_size):
            magnitude = classifier.front_end.stft(windows.waveforms(batch)).abs()
            found.append(classifier(magnitude).embedding)
            step(int(batch[-1]) + 1)
    return torch.cat(found).numpy(), windows.labels_of(torch.arange(len(windows))).numpy()


def fit_head(
    classifier: ClapClassifier,
    classes: Sequence[str],
    train: tuple[np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray] | None,
) -> float:
    """Fit the head in place by logistic regression on embeddings `[N, D]` and class numbers `[N]`.

    Held-out windows, where there are some, choose how strongly it is regularised, by their cross-entropy; without any
    it is the third of `STRENGTHS`. Returns it. Raises TrainingDataError for a class without any window.
    """
    assert classifier.classify is not None
    missing = sorted(set(range(classifier.n_classes)) - set(train[1].tolist()))
    if missing:
        raise TrainingDataError(
            f"no window to learn {', '.join(classes[index] for index in missing[:5])} from: each label that there is "
            "needs a recording that is trained on; leave recordings of the others out of the data or of --labels"
        )
    strengths = STRENGTHS if held_out is not None else STRENGTHS[2:3]
    fitted = [LogisticRegression(C=strength, max_iter=2000).fit(*train) for strength in strengths]
    losses = [_loss(head, *held_out) if held_out is not None else 0.0 for head in fitted]
    best = fitted[int(np.argmin(losses))]
    weights, bias = _all_classes(best)
    with torch.no_grad():
        classifier.classify.weight.copy_(torch.from_numpy(weights))
        classifier.classify.bias.copy_(torch.from_numpy(bias))
    return float(best.C)


def _loss(head: LogisticRegression, x: np.ndarray, y: np.ndarray) -> float:
    # Classes are numbered from 0 without a gap, so that the columns are theirs.
    return float(-head.predict_log_proba(x)[np.arange(len(y)), y].mean())


def _all_classes(head: LogisticRegression) -> tuple[np.ndarray, np.ndarray]:
    """Weights `[C, D]` and bias `[C]`; of two classes sklearn keeps one row, for the second."""
    if len(head.classes_) > 2:
        return head.coef_, head.intercept_
    return np.stack([-head.coef_[0], head.coef_[0]]) / 2, np.stack([-head.intercept_[0], head.intercept_[0]]) / 2
