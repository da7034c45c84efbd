"""Whether a mask lies where the sound is, and whether the listenable is the target, on unseen scenes:

python -m benchmarks.scenes --explainer scenes --count 300 --seed 990
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from pipeline.attribution.rivals import rival
from pipeline.lmac.explainer import Explainer
from pipeline.scenes import Scene, SceneConfig, ideal_ratio_mask, render_scene
from pipeline.scenes.separation import si_sdr

# Bins further below the loudest bin of a scene are not counted: there is nothing to hear in them.
FLOOR_DB = 60.0
QUIET_SNR_DB = 5.0
BATCH = 10


def bin_auroc(score: np.ndarray, truth: np.ndarray, counted: np.ndarray) -> float:
    """AUROC of a score `[F, T]` for the bins where the target has most of the power; NaN if all or none do."""
    labels = truth[counted] > 0.5
    if labels.all() or not labels.any():
        return float("nan")
    return float(roc_auc_score(labels, score[counted]))


def magnitude(explainer: Explainer, waveform: np.ndarray) -> np.ndarray:
    """Linear magnitude `[F, T]` of a waveform `[n]` in the explainer's own STFT."""
    return explainer.classifier.front_end.stft(torch.from_numpy(waveform)[None]).abs()[0].numpy()


def measure(explainer: Explainer, scenes: list[Scene]) -> dict[str, np.ndarray]:
    """Per scene: whether the label is right, AUROC of mask, saliency, energy and chance, and SI-SDR gained."""
    waveforms = np.stack([scene.mixture for scene in scenes])
    explanation = explainer.explain(waveforms)
    whole = explainer.classifier.front_end.stft(torch.from_numpy(waveforms)).abs()
    target = torch.from_numpy(explanation.label_index)
    saliency = rival("saliency", explainer.classifier).attribute(whole, target).abs().numpy()
    rows = []
    for i, scene in enumerate(scenes):
        truth = ideal_ratio_mask(magnitude(explainer, scene.target), magnitude(explainer, scene.background))
        energy = whole[i].numpy()
        counted = energy > energy.max() * 10 ** (-FLOOR_DB / 20)
        chance = np.random.default_rng(scene.index).random(truth.shape)
        rows.append(
            {
                "accuracy": float(explanation.labels[i] == scene.label),
                "auroc_mask": bin_auroc(explanation.mask[i], truth, counted),
                "auroc_saliency": bin_auroc(saliency[i], truth, counted),
                "auroc_energy": bin_auroc(energy, truth, counted),
                "auroc_random": bin_auroc(chance, truth, counted),
                "snr_db": scene.snr_db,
                "si_sdr_mixture": si_sdr(scene.mixture, scene.target),
                "si_sdr_masked_in": si_sdr(explanation.masked_in[i], scene.target),
                **{name: float(explanation.scores[name][i]) for name in ("ad", "ff", "fid_in", "mask_mean")},
            }
        )
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--explainer", default="scenes")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=990)
    arguments = parser.parse_args()
    explainer = Explainer.load(arguments.explainer)
    config = SceneConfig(sample_rate=explainer.config.front_end.sample_rate)
    batches = []
    for first in range(0, arguments.count, BATCH):
        indices = range(first, min(first + BATCH, arguments.count))
        batches.append(measure(explainer, [render_scene(arguments.seed, index, config) for index in indices]))
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    print(f"{arguments.explainer} on {arguments.count} scenes of seed {arguments.seed}, digest {explainer.digest[:12]}")
    print(
        f"bins down to {FLOOR_DB:g} dB below the loudest count; a bin is the target's if its ideal ratio is above 0.5"
    )
    for name, values in columns.items():
        print(f"{name:20s} {np.nanmean(values):8.3f}")
    quiet = columns["snr_db"] < QUIET_SNR_DB
    gained = columns["si_sdr_masked_in"][quiet] - columns["si_sdr_mixture"][quiet]
    error = gained.std(ddof=1) / np.sqrt(len(gained))
    print(f"SI-SDR gained below {QUIET_SNR_DB:g} dB SNR: {gained.mean():.2f} dB", end=" ")
    print(f"(standard error {error:.2f}, n {len(gained)})")


if __name__ == "__main__":
    main()
