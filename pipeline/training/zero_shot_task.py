"""The task of training a prompted decoder for a frozen CLAP with the objective of LMAC-ZS, without labels."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from pipeline.audio.pcm import from_pcm_tensor
from pipeline.inputs.window_set import WindowSet
from pipeline.lmac.prefetch import waveforms_on
from pipeline.lmac.zero_shot_objective import ZeroShotTerms, zero_shot_objective
from pipeline.models.clap.clap_classifier import ClapClassifier
from pipeline.models.decoder import Decoder
from pipeline.models.ranking import rank_bins
from pipeline.training.augment import augmented_magnitude
from pipeline.training.decoder_task import beyond
from pipeline.training.loop import Arrays, Batch, Scores, mixed_precision
from schemas.training_config import DecoderTraining, ZeroShotObjective

_BATCH = 16
# Windows over which a prompt's similarities are measured.
_SAMPLED = 256
# Prompts are drawn twice for each held-out window, with their own seed.
_DRAWS, _SEED = 2, 31


class ZeroShotTask:
    """The objective of LMAC-ZS on windows, each with prompts drawn from the CLAP's classes."""

    def __init__(
        self,
        decoder: Decoder,
        clap: ClapClassifier,
        train: WindowSet,
        validation: WindowSet | None,
        config: DecoderTraining,
        domain: str,
    ) -> None:
        if not isinstance(config.objective, ZeroShotObjective):
            raise ValueError(f"a ZeroShotTask has the objective lmac-zs, got {config.objective.kind}")
        self.module = decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.clap = clap.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.train, self.validation, self.config, self.objective = train, validation, config, config.objective
        self.domain, self.n_windows = domain, len(train)
        self.mean_similarity, self.highest_similarity = prompt_similarities(clap, train)

    def read(self, indices: Tensor) -> Arrays:
        return {"samples": self.train.pcm(indices)}

    def loss(self, batch: Batch, rng: Generator) -> tuple[Tensor, Batch]:
        config = self.config
        with torch.no_grad():
            waveform = from_pcm_tensor(batch["samples"])
            magnitude = augmented_magnitude(waveform, self.clap.front_end, config, rng)
        with mixed_precision(self.clap.device, config.loop):
            terms, logits, _ = self._terms(magnitude, rng)
            loss = terms.total + config.lambda_range * beyond(logits)
        return loss, {"loss": loss.detach(), **_values(terms)}

    def _terms(self, magnitude: Tensor, rng: Generator) -> tuple[ZeroShotTerms, Tensor, Tensor]:
        """Return the terms for prompts drawn for each window, the logits, and `[B, K]`, true where a prompt fits.

        A prompt fits a window if their similarity is above the prompt's mean over windows.
        """
        k = self.objective.prompts
        with torch.no_grad():
            output = self.clap(magnitude)
            prompt = draw_prompts(output.logits.float(), k, self.objective.fitting, rng)
            similarity = (output.embedding.float()[:, None] * self.clap.prompt_embeddings(prompt)).sum(2)
        _, _, logits = rank_bins(self.module, self.clap, magnitude.repeat_interleave(k, dim=0), prompt.flatten())
        mask = torch.sigmoid(logits.float()).unflatten(0, prompt.shape)
        mean, highest = self.mean_similarity[prompt], self.highest_similarity[prompt]
        terms = zero_shot_objective(
            self.clap, magnitude, mask, prompt, similarity, mean, highest, self.objective, self.domain
        )
        return terms, logits.float(), similarity > mean

    @torch.no_grad()
    def validate(self) -> Scores:
        if self.validation is None:
            return {}
        rng, sums = torch.Generator().manual_seed(_SEED), dict[str, float]()
        means, fitting = [], []
        batches = torch.arange(len(self.validation)).repeat(_DRAWS).split(_BATCH)
        for batch, waveforms in zip(batches, waveforms_on(self.clap.device, self.validation, batches), strict=True):
            terms, logits, fits = self._terms(self.clap.front_end.stft(waveforms).abs(), rng)
            mean = logits.sigmoid().mean(dim=(1, 2)).reshape(fits.shape)
            means.append(mean.flatten())
            fitting.append(fits.flatten())
            for name, value in _values(terms).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(batch) / (_DRAWS * len(self.validation))
        mean, fits = torch.cat(means), torch.cat(fitting)
        sums["fitting"] = float(fits.float().mean())
        sums["mask_fitting"] = float((mean * fits).sum() / fits.sum().clamp_min(1))
        sums["mask_other"] = float((mean * ~fits).sum() / (~fits).sum().clamp_min(1))
        return {"score": -sums["objective"], **sums}


def draw_prompts(logits: Tensor, count: int, fitting: float, rng: Generator) -> Tensor:
    """Draw `count` different classes for each window, `[B, count]`, from logits `[B, n_classes]`.

    A share `fitting` of draws is in proportion to the class probabilities, the rest is uniform. Raises ValueError if
    there are fewer classes.
    """
    n_classes = logits.shape[1]
    if n_classes < count:
        raise ValueError(f"objective.prompts is {count} prompts a window, and there are {n_classes} in all")
    chance = fitting * logits.softmax(1) + (1 - fitting) / n_classes
    # The algorithm of torch.multinomial (Efraimidis and Spirakis 2006), but always drawn on the CPU.
    race = torch.empty(chance.shape).exponential_(generator=rng).to(chance.device)
    return (chance / race).topk(count, dim=1).indices


@torch.no_grad()
def prompt_similarities(clap: ClapClassifier, windows: WindowSet) -> tuple[Tensor, Tensor]:
    """Return each prompt's mean and highest cosine `[n_classes]` over at most 256 evenly spread windows."""
    chosen = torch.linspace(0, len(windows) - 1, min(_SAMPLED, len(windows))).long()
    found = waveforms_on(clap.device, windows, chosen.split(_BATCH))
    embedded = [clap(clap.front_end.stft(waveforms).abs()).embedding for waveforms in found]
    cosines = torch.cat(embedded) @ clap.prompt_embeddings(torch.arange(clap.n_classes, device=clap.device)).T
    return cosines.mean(dim=0), cosines.amax(dim=0)


def _values(terms: ZeroShotTerms) -> Batch:
    return {
        "objective": terms.total.detach(),
        "masked_in": terms.masked_in.detach(),
        "masked_out": terms.masked_out.detach(),
        "size": terms.size.detach(),
        "apart": terms.apart.detach(),
    }
