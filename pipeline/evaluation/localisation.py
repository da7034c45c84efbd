"""Compare with known sources: whether relevance lies on the target's bins, and how much of it the listenable is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from pipeline.datasets.scenes import Scene, SceneConfig, ideal_ratio_mask, render_scene
from pipeline.datasets.scenes.separation import si_sdr
from pipeline.evaluation.batch import WindowBatch
from pipeline.evaluation.measure import listenable
from pipeline.evaluation.methods import IDEAL, ComparedMethod
from pipeline.inputs.window_set import WindowSet
from pipeline.lmac.masking import apply_mask, mask_of
from pipeline.models.classifier import Classifier
from schemas.explainer_config import FrontEndConfig

# Bins further below the loudest of their window are inaudible and not counted.
FLOOR_DB = 60.0
# Two steps of 16 bits would do; a resampled or re-encoded scene differs by far more.
TOLERANCE = 1e-3


class Scenes:
    """The scenes of windows, rendered again from their metadata whenever they are needed."""

    def __init__(self, windows: WindowSet, front_end: FrontEndConfig) -> None:
        self.windows, self.front_end = windows, front_end

    def __getitem__(self, window: int) -> Scene:
        """Render the scene of a window; raises ValueError if its recording's metadata is not that of a scene."""
        facts = self.windows.metadata[int(self.windows.recording_index[window])]
        try:
            seed, index = int(facts["seed"]), int(facts["index"])
            snr_db, event_s, label = float(facts["snr_db"]), float(facts["event_s"]), str(facts["label"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the recording's metadata is not that of a scene: {error!r}") from None
        # The metadata holds the drawn values, but not the ranges they were drawn from.
        config = SceneConfig(
            sample_rate=self.front_end.sample_rate,
            duration_s=self.front_end.window_s,
            snr_db=(snr_db, snr_db),
            event_s=(event_s, event_s),
        )
        return render_scene(seed, index, config, label)


def scenes_of(windows: WindowSet, front_end: FrontEndConfig, on_note: Callable[[str], None]) -> Scenes | None:
    """Return the windows' scenes, or None if they are not scenes; `on_note` is called for one that does not agree."""
    if not all({"seed", "index", "snr_db"} <= facts.keys() for facts in windows.metadata):
        return None
    scenes = Scenes(windows, front_end)
    for window in range(len(windows)):
        key = windows.keys[int(windows.recording_index[window])]
        try:
            mixture = scenes[window].mixture
        except ValueError as error:
            on_note(f"localisation is left out: {key}: {error}")
            return None
        waveform = windows.waveforms(torch.tensor([window]))[0].numpy()
        apart = float(np.abs(waveform - mixture).max()) if len(mixture) == len(waveform) else float("inf")
        if apart > TOLERANCE:
            on_note(
                f"localisation is left out: {key} differs from the scene of its seed and index by up to {apart:.3g}"
            )
            return None
    return scenes


def ideal(classifier: Classifier, scenes: Scenes, digest: str) -> ComparedMethod:
    """Return the ideal ratio mask as a method: what an oracle that knows the sources would keep."""

    def relevance(batch: WindowBatch) -> Tensor:
        ratio = torch.stack([_ratio(classifier, scenes[int(index)]) for index in batch.indices])
        return ratio.to(batch.magnitude).logit()

    return ComparedMethod(IDEAL, relevance, ("as_written",), ("signed",), "magnitude", digest)


def localised(
    classifier: Classifier,
    batch: WindowBatch,
    scenes: Scenes,
    ranks: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    domain: str,
) -> list[dict[str, Any]]:
    """Compute a batch's columns of the localisation table for every ranking and every mask (in 255ths), by name.

    A bin belongs to the target if the ideal ratio mask is above 0.5 there.
    """
    found = [scenes[int(index)] for index in batch.indices]
    truth = torch.stack([_ratio(classifier, scene) for scene in found]).numpy() > 0.5
    magnitude = batch.magnitude.cpu().numpy()
    counted = magnitude > magnitude.max(axis=(1, 2), keepdims=True) * 10 ** (-FLOOR_DB / 20)
    before = [si_sdr(scene.mixture, scene.target) for scene in found]
    after = {}
    for how, levels in masks.items():
        masked = apply_mask(batch.magnitude, mask_of(levels), domain)
        sound = listenable(classifier, batch, masked).cpu().numpy()
        after[how] = [si_sdr(one, scene.target) for one, scene in zip(sound, found, strict=True)]
    columns = []
    for order, rank in ranks.items():
        auroc, precision = _ranked(rank.cpu().numpy(), truth, counted)
        columns += [
            {
                "mask": how,
                "ranking": order,
                "snr_db": [scene.snr_db for scene in found],
                "auroc": auroc,
                "average_precision": precision,
                "si_sdr_mixture": before,
                "si_sdr_masked_in": values,
            }
            for how, values in after.items()
        ]
    return columns


def _ratio(classifier: Classifier, scene: Scene) -> Tensor:
    parts = torch.from_numpy(np.stack([scene.target, scene.background])).to(classifier.front_end.window.device)
    target, background = classifier.front_end.stft(parts).abs().cpu().numpy()
    return torch.from_numpy(ideal_ratio_mask(target, background))


def _ranked(ranks: np.ndarray, truth: np.ndarray, counted: np.ndarray) -> tuple[Sequence[float], Sequence[float]]:
    auroc, precision = [], []
    for rank, true, which in zip(ranks, truth, counted, strict=True):
        labels, score = true[which], _finite(rank[which])
        defined = labels.any() and not labels.all()
        auroc.append(float(roc_auc_score(labels, score)) if defined else float("nan"))
        precision.append(float(average_precision_score(labels, score)) if defined else float("nan"))
    return auroc, precision


def _finite(score: np.ndarray) -> np.ndarray:
    # Logits of a mask that is 0 or 1 are infinite, which the scores do not accept; only the order counts.
    extreme = np.abs(score[np.isfinite(score)]).max(initial=0) + 1
    return np.clip(score, -extreme, extreme)
