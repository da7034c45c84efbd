"""Training a decoder that listens to the prompt, for a frozen CLAP, without labels."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from pipeline.inputs.window_set import WindowSet
from pipeline.lmac.zero_shot_objective import ZeroShotTerms, zero_shot_objective
from pipeline.models.clap.classifier import ClapClassifier
from pipeline.models.decoder import Decoder
from pipeline.models.ranking import rank_bins
from pipeline.training.augment import augmented_magnitude
from pipeline.training.decoder_task import beyond
from pipeline.training.loop import Scores
from schemas.training_config import DecoderTraining, ZeroShotObjective

_BATCH = 16
# How often each held-out window is asked about, and the seed of the prompts that it is asked for.
_ASKED, _SEED = 2, 31


class ZeroShotTask:
    """The objective of LMAC-ZS on windows and prompts drawn for them; the CLAP's classes are all prompts there are."""

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
        self.mean_similarity, self.max_similarity = known_similarities(clap, train)

    def loss(self, indices: Tensor, rng: Generator) -> tuple[Tensor, Scores]:
        config = self.config
        with torch.no_grad():
            magnitude = augmented_magnitude(self.train.waveforms(indices), self.clap.front_end, config, rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=config.loop.bf16):
            terms, logits, _ = self._terms(magnitude, rng)
            loss = terms.total + config.lambda_range * beyond(logits)
        return loss, {"loss": float(loss.detach()), **_numbers(terms)}

    def _terms(self, magnitude: Tensor, rng: Generator) -> tuple[ZeroShotTerms, Tensor, Tensor]:
        """The terms for prompts drawn for each window, the logits, and which of the prompts fit `[B, K]`."""
        k = self.objective.prompts
        with torch.no_grad():
            output = self.clap(magnitude)
            prompt = draw_prompts(output.logits.float(), k, self.objective.fitting, rng)
            similarity = (output.embedding.float()[:, None] * self.clap.prompt_embeddings(prompt)).sum(2)
        _, _, logits = rank_bins(self.module, self.clap, magnitude.repeat_interleave(k, dim=0), prompt.flatten())
        mask = torch.sigmoid(logits.float()).unflatten(0, prompt.shape)
        mean, highest = self.mean_similarity[prompt], self.max_similarity[prompt]
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
        for batch in torch.arange(len(self.validation)).repeat(_ASKED).split(_BATCH):
            magnitude = self.clap.front_end.stft(self.validation.waveforms(batch)).abs()
            terms, logits, fits = self._terms(magnitude, rng)
            mean = logits.sigmoid().mean(dim=(1, 2)).reshape(fits.shape)
            means.append(mean.flatten())
            fitting.append(fits.flatten())
            for name, value in _numbers(terms).items():
                sums[name] = sums.get(name, 0.0) + value * len(batch) / (_ASKED * len(self.validation))
        mean, fits = torch.cat(means), torch.cat(fitting)
        sums["fitting"] = float(fits.float().mean())
        sums["mask_fitting"] = float((mean * fits).sum() / fits.sum().clamp_min(1))
        sums["mask_other"] = float((mean * ~fits).sum() / (~fits).sum().clamp_min(1))
        return {"score": -sums["objective"], **sums}


def draw_prompts(logits: Tensor, count: int, fitting: float, rng: Generator) -> Tensor:
    """`count` different classes for each window `[B, count]`, of logits `[B, n_classes]`.

    Each with the share `fitting` by its probability, else any. Raises ValueError when there are fewer classes.
    """
    n_classes = logits.shape[1]
    if n_classes < count:
        raise ValueError(f"objective.prompts asks for {count} prompts a window, and there are {n_classes} in all")
    chance = fitting * logits.softmax(1) + (1 - fitting) / n_classes
    return torch.multinomial(chance, count, generator=rng)


@torch.no_grad()
def known_similarities(clap: ClapClassifier, windows: WindowSet, limit: int = 256) -> tuple[Tensor, Tensor]:
    """The mean and the highest cosine `[n_classes]` of each prompt to up to `limit` windows, evenly spread."""
    chosen = torch.linspace(0, len(windows) - 1, min(limit, len(windows))).long()
    heard = [clap(clap.front_end.stft(windows.waveforms(batch)).abs()).embedding for batch in chosen.split(_BATCH)]
    cosines = torch.cat(heard) @ clap.prompt_embeddings(torch.arange(clap.n_classes)).T
    return cosines.mean(dim=0), cosines.amax(dim=0)


def _numbers(terms: ZeroShotTerms) -> Scores:
    return {
        "objective": float(terms.total.detach()),
        "masked_in": float(terms.masked_in.detach()),
        "masked_out": float(terms.masked_out.detach()),
        "size": float(terms.size.detach()),
        "apart": float(terms.apart.detach()),
    }
