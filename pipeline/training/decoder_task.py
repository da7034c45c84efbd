"""The task of training a mask decoder with the objective of L-MAC, without labels."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from pipeline.audio.pcm import from_pcm_tensor
from pipeline.inputs.window_set import WindowSet
from pipeline.lmac.budget import budgeted, cut, random_budget, threshold
from pipeline.lmac.masking import quantised
from pipeline.lmac.objective import objective
from pipeline.lmac.prefetch import waveforms_on
from pipeline.lmac.scores import score_masks
from pipeline.models.classifier import Classifier
from pipeline.models.decoder import Decoder
from pipeline.models.ranking import rank_bins
from pipeline.training.augment import augmented_magnitude
from pipeline.training.loop import Arrays, Batch, Scores, mixed_precision
from schemas.training_config import DecoderTraining, ObjectiveConfig

_RANGE = 8.0


class DecoderTask:
    """The L-MAC objective on the classifier's own decisions, validated by faithfulness on held-out windows."""

    def __init__(
        self,
        decoder: Decoder,
        classifier: Classifier,
        train: WindowSet,
        validation: WindowSet | None,
        config: DecoderTraining,
        domain: str,
    ) -> None:
        if not isinstance(config.objective, ObjectiveConfig):
            raise ValueError(f"a DecoderTask has the objective lmac, got {config.objective.kind}")
        self.objective = config.objective
        self.module = decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # The frozen classifier takes a third of a step's time; folding batch normalisation reduces that.
        self.classifier = classifier.folded().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.train, self.validation, self.config, self.domain = train, validation, config, domain
        self.n_windows = len(train)

    def read(self, indices: Tensor) -> Arrays:
        return {"samples": self.train.pcm(indices)}

    def loss(self, batch: Batch, rng: Generator) -> tuple[Tensor, Batch]:
        config = self.config
        with torch.no_grad():
            waveform = from_pcm_tensor(batch["samples"])
            magnitude = augmented_magnitude(waveform, self.classifier.front_end, config, rng)
        with mixed_precision(self.classifier.device, config.loop):
            _, target, logits = rank_bins(self.module, self.classifier, magnitude)
            logits = logits.float()
            mask, sized = self._masks(logits, magnitude, rng)
            terms = objective(self.classifier, magnitude, mask, target, self.objective, self.domain, sized)
            loss = terms.total + config.lambda_range * beyond(logits)
        return loss, {
            "loss": loss.detach(),
            "masked_in": terms.masked_in.detach(),
            "masked_out": terms.masked_out.detach(),
            "range": logits.detach().abs().nan_to_num(posinf=0).max(),
            "mask_mean": logits.detach().sigmoid().mean(),
        }

    def _masks(self, logits: Tensor, magnitude: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
        """Return masks `[B, F, T]`, a share of them cut at a random budget, and `[B]` on the CPU: which are not cut."""
        mask = torch.sigmoid(logits)
        if not self.config.budgets:
            return mask, torch.ones(len(logits), dtype=torch.bool)
        share, by_energy = random_budget(len(logits), self.config.budget_bins, self.config.budget_energy, rng)
        sized = torch.rand(len(logits), generator=rng) >= self.config.budgets
        cuts = (~sized).nonzero()[:, 0]
        # Selected on the CPU, where they were drawn; only what is needed is copied to the device.
        chosen, share, by_energy = (part.to(logits.device) for part in (cuts, share[cuts], by_energy[cuts]))
        rank, cost = budgeted(logits[chosen], magnitude[chosen], by_energy)
        at = threshold(rank.detach(), cost, share)
        return mask.index_copy(0, chosen, cut(rank, at)), sized

    def validate(self) -> Scores:
        if self.validation is None:
            return {}
        scores = mean_faithfulness(self.classifier, self.module, self.validation, self.domain)
        # High FF and low AD together, minus any excess over the target size, if the objective has one.
        sized = self.objective.size == "hinge"
        over = max(0.0, scores["mask_mean"] - self.objective.target_mean) if sized else 0.0
        return {"score": scores["ff"] - scores["ad"] / 100 - 5 * over, **scores}


def beyond(logits: Tensor) -> Tensor:
    """Mean squared excess of logits `[B, F, T]` beyond ±8, ignoring the infinite ones of inaudible bins."""
    counted = logits.isfinite()
    # Replaced before squaring: the gradient of an infinite square is not a number.
    finite = torch.where(counted, logits, torch.zeros_like(logits))
    return (finite.abs() - _RANGE).clamp_min(0).square().sum() / counted.sum().clamp_min(1)


@torch.no_grad()
def mean_faithfulness(
    classifier: Classifier, decoder: Decoder, windows: WindowSet, domain: str, batch_size: int = 16
) -> Scores:
    """Compute the spectral faithfulness of a decoder's masks, averaged over windows."""
    sums: Scores = {}
    for waveforms in waveforms_on(classifier.device, windows, torch.arange(len(windows)).split(batch_size)):
        magnitude = classifier.front_end.stft(waveforms).abs()
        output, _, logits = rank_bins(decoder, classifier, magnitude)
        full = output.logits.softmax(1)
        levels = quantised(torch.sigmoid(logits))
        scores, _ = score_masks(classifier, magnitude, levels, full, full.argmax(1), domain)
        for name in ("p", "ai", "ad", "ag", "ff", "fid_in", "mask_mean"):
            sums[name] = sums.get(name, 0.0) + float(scores[name].sum()) / len(windows)
    return sums
