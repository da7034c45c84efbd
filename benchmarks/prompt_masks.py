"""Measure whether masks for prompts lie on the sounds that the prompts name, in mixtures with known sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch import Tensor

from pipeline.datasets.clap_mini.mixtures import Mixture, render_mixture
from pipeline.datasets.clap_mini.wordings import EVENT_WORDS, TEMPLATES
from pipeline.datasets.scenes import CLASSES, ideal_ratio_mask
from pipeline.datasets.scenes.separation import si_sdr
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.models.clap.clap_classifier import ClapClassifier
from pipeline.models.clap.prompts import Embedder
from pipeline.models.decoder import Decoder
from pipeline.models.ranking import rank_bins

TEST_SEED = 990_003
# Bins further below the loudest of their window are inaudible and not counted.
FLOOR_DB = 60.0


@dataclass(frozen=True)
class Figure:
    """A mean with its 95% interval over mixtures."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class MaskScores:
    """Scores over mixtures of two events and a background, with ten prompts for each, one for each kind of event.

    `auroc` is the AUROC of a mask for the bins where the source named by its prompt has more than half of the power;
    `auroc_energy` is that of the magnitude itself, `auroc_gain` the paired difference of the two, and `auroc_other`
    that of the mask for the other event. `iou` is the IoU of the two masks, cut at 0.5, over the `iou_pairs` mixtures
    where either keeps a bin. `present` and `absent` are the mean of the mask for events that are present and absent,
    `margin` is `present` / 3 minus `absent`, and `follows` the rank correlation of a mask's mean with its prompt's
    similarity. `si_sdr_gain` is the SI-SDR improvement of the listenable over the mixture in dB, and
    `si_sdr_gain_below_0` its mean over sources that are the quieter part.
    """

    mixtures: int
    auroc: Figure
    auroc_energy: Figure
    auroc_gain: Figure
    auroc_other: Figure
    iou: Figure
    iou_pairs: int
    present: Figure
    absent: Figure
    margin: Figure
    follows: float
    si_sdr_gain: Figure
    si_sdr_gain_below_0: float


@torch.no_grad()
def evaluate_masks(
    clap: ClapClassifier,
    decoder: Decoder,
    text: Embedder,
    mixtures: int = 200,
    seed: int = TEST_SEED,
    held_out: bool = True,
) -> MaskScores:
    """Score a prompted decoder, by default in wordings and templates held out of training."""
    config = clap.front_end.config
    rng = np.random.default_rng([seed, 0x3A5])
    rows: dict[str, list[float]] = {name: [] for name in ("auroc", "energy", "other", "iou", "gain", "before")}
    present: list[float] = []
    absent: list[float] = []
    means, similarities = [], []
    for index in range(mixtures):
        mixture = render_mixture(seed, index, sample_rate=config.sample_rate, duration_s=config.window_s)
        prompted = clap.with_class_embeddings(text.embed(_prompts(rng, held_out)))
        waveform = torch.from_numpy(mixture.waveform)[None]
        stft = clap.front_end.stft(waveform)
        magnitude = stft.abs()
        output, _, logits = rank_bins(
            decoder, prompted, magnitude.expand(len(CLASSES), -1, -1), torch.arange(len(CLASSES))
        )
        mask = logits.sigmoid()
        mean = mask.mean(dim=(1, 2)).numpy()
        there = [CLASSES.index(event.kind) for event in mixture.contents.events]
        present.append(float(mean[there].mean()))
        absent.append(float(np.delete(mean, there).mean()))
        means.append(mean)
        similarities.append((output.embedding[0] @ prompted.class_embeddings.T).numpy())
        truths = _truths(clap, mixture)
        counted = (magnitude[0] > magnitude.max() * 10 ** (-FLOOR_DB / 20)).numpy()
        for place, kind in enumerate(there):
            other = there[1 - place]
            rows["auroc"].append(_auroc(truths[place], logits[kind], counted))
            rows["other"].append(_auroc(truths[place], logits[other], counted))
            rows["energy"].append(_auroc(truths[place], magnitude[0], counted))
            sound = clap.front_end.with_phase(mask[kind][None] * magnitude, stft, waveform.shape[1])[0].numpy()
            before = si_sdr(mixture.waveform, mixture.events[place])
            rows["before"].append(before)
            rows["gain"].append(si_sdr(sound, mixture.events[place]) - before)
        first, second = (mask[kind] > 0.5 for kind in there)
        union = float((first | second).sum())
        rows["iou"].append(float((first & second).sum()) / union if union else float("nan"))
    values = {name: np.array(row) for name, row in rows.items()}
    mean_present, mean_absent = np.array(present), np.array(absent)
    return MaskScores(
        mixtures=mixtures,
        auroc=_figure(values["auroc"], mixtures),
        auroc_energy=_figure(values["energy"], mixtures),
        auroc_gain=_figure(values["auroc"] - values["energy"], mixtures),
        auroc_other=_figure(values["other"], mixtures),
        iou=_figure(values["iou"], mixtures),
        iou_pairs=int(np.isfinite(values["iou"]).sum()),
        present=_figure(mean_present, mixtures),
        absent=_figure(mean_absent, mixtures),
        margin=_figure(mean_present / 3 - mean_absent, mixtures),
        follows=float(spearmanr(np.concatenate(similarities), np.concatenate(means)).statistic),
        si_sdr_gain=_figure(values["gain"], mixtures),
        si_sdr_gain_below_0=float(values["gain"][values["before"] < 0].mean()),
    )


def _figure(values: np.ndarray, mixtures: int) -> Figure:
    """Average values, equally many for each mixture, ignoring those that are not finite."""
    finite = np.isfinite(values)
    mixture_of = np.repeat(np.arange(mixtures), len(values) // mixtures)
    interval = Bootstrap(mixture_of[finite]).interval(values[finite])
    return Figure(float(interval.value[0]), float(interval.low[0]), float(interval.high[0]))


def _prompts(rng: np.random.Generator, held_out: bool) -> list[str]:
    """One prompt for each kind of event."""

    def one(words: Sequence[str]) -> str:
        return words[int(rng.integers(len(words)))]

    return [
        one(TEMPLATES.held_out if held_out else TEMPLATES.trained).format(
            one(EVENT_WORDS[kind].held_out if held_out else EVENT_WORDS[kind].trained)
        )
        for kind in CLASSES
    ]


def _truths(clap: ClapClassifier, mixture: Mixture) -> list[np.ndarray]:
    """Return where each event has more power than the rest of the mixture, `[F, T]` bool."""
    truths = []
    for event in mixture.events:
        parts = torch.from_numpy(np.stack([event, mixture.waveform - event]))
        target, rest = clap.front_end.stft(parts).abs().numpy()
        truths.append(ideal_ratio_mask(target, rest) > 0.5)
    return truths


def _auroc(truth: np.ndarray, score: Tensor, counted: np.ndarray) -> float:
    labels = truth[counted]
    if labels.all() or not labels.any():
        return float("nan")
    return float(roc_auc_score(labels, score.clamp(-1e4, 1e4).numpy()[counted]))
