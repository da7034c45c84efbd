"""One vector per recording and layer: a classifier's representations, pooled over time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.random_projection import SparseRandomProjection
from torch import Tensor

from pipeline.inputs.window_set import WindowSet
from pipeline.lmac.prefetch import waveforms_on
from pipeline.models.classifier import Classifier, ClassifierOutput


@dataclass(frozen=True)
class LayerFeatures:
    """The features of a layer for all recordings: `values` `[n_recordings, width]`, float32.

    `shape` is the shape of the layer for one window, `[C, T, M]` or `[D]`; `pooled` is the number of features before
    a random projection to `width`, or equal to `width` without one.
    """

    name: str
    shape: tuple[int, ...]
    pooled: int
    values: np.ndarray

    @property
    def width(self) -> int:
        """The number of features of a recording."""
        return int(self.values.shape[1])


@torch.inference_mode()
def layer_features(
    classifier: Classifier,
    windows: WindowSet,
    *,
    width: int = 2048,
    seed: int = 0,
    batch_size: int = 16,
    step: Callable[[int], None] = lambda windows: None,
) -> tuple[LayerFeatures, ...]:
    """Compute features of every layer of a frozen classifier: log-mel, each depth, embedding, logits.

    A representation `[C, T, M]` of a window is pooled to the mean and the standard deviation over time of each channel
    and mel band, `2 C M` numbers; embedding and logits are used as they are. A recording gets the mean over its
    windows. More than `width` numbers are reduced to `width` by a seeded sparse random projection (Li, Hastie and
    Church 2006), which preserves the scalar products between recordings, and so probes and CKA, up to noise of
    `1 / sqrt(width)`. `step` is called with the number of windows of each batch.
    """
    recording = torch.as_tensor(windows.recording_index, dtype=torch.long)
    n_recordings = len(windows.keys)
    sums: list[Tensor] = []
    shapes: list[tuple[int, ...]] = []
    widths: list[int] = []
    names: list[str] = []
    projections: list[SparseRandomProjection | None] = []
    batches = torch.arange(len(windows)).split(batch_size)
    for batch, waveforms in zip(batches, waveforms_on(classifier.device, windows, batches), strict=True):
        layers = _layers(classifier(classifier.front_end.stft(waveforms).abs()))
        pooled = [_pool(layer).cpu() for layer in layers.values()]
        if not sums:
            names, shapes = list(layers), [tuple(layer.shape[1:]) for layer in layers.values()]
            widths = [rows.shape[1] for rows in pooled]
            projections = [_projection(n, width, seed) for n in widths]
            sums = [torch.zeros(n_recordings, min(n, width)) for n in widths]
        for total, rows, projection in zip(sums, pooled, projections, strict=True):
            # The projection is linear, so the mean of a recording's projected windows is its projected mean.
            kept = rows if projection is None else torch.from_numpy(projection.transform(rows.numpy())).float()
            total.index_add_(0, recording[batch], kept)
        step(len(batch))
    count = torch.bincount(recording, minlength=n_recordings)[:, None]
    return tuple(
        LayerFeatures(name, shape, n, (total / count).numpy())
        for name, shape, n, total in zip(names, shapes, widths, sums, strict=True)
    )


def _layers(output: ClassifierOutput) -> dict[str, Tensor]:
    mel, *deeper = output.representations
    depths = {f"depth {depth}": layer for depth, layer in enumerate(deeper, 1)}
    return {"log-mel": mel, **depths, "embedding": output.embedding, "logits": output.logits}


def _pool(layer: Tensor) -> Tensor:
    if layer.ndim == 2:
        return layer.float()
    deviation, mean = torch.std_mean(layer.float(), dim=2, correction=0)
    return torch.cat([mean.flatten(1), deviation.flatten(1)], dim=1)


def _projection(n: int, width: int, seed: int) -> SparseRandomProjection | None:
    if n <= width:
        return None
    return SparseRandomProjection(width, random_state=seed).fit(np.zeros((1, n), np.float32))
