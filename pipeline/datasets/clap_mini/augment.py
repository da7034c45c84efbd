"""Augment the log-mels of training mixtures; every draw comes from the caller's generator."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from pipeline.training.augment import drop, roll_in_time, share_of, uniform
from schemas.clap_mini_config import MiniTraining


def augmented(log_mel: Tensor, mel_weights: Tensor, floor: float, config: MiniTraining, rng: Generator) -> Tensor:
    """Augment log-mels `[B, T, n_mels]` in decibels: roll, gain, noise, and bands and spans removed.

    `mel_weights` `[F, n_mels]` are the filters and `floor` is the lowest power. Removed parts get the power of the
    floor, as where a mask removes everything. Digital silence stays digital silence.
    """
    power = 10 ** (roll_in_time(log_mel, rng) / 10)
    power = torch.where(power > 1.01 * floor, power, torch.zeros_like(power))
    power = power * 10 ** (uniform((len(power), 1, 1), -config.gain_db, config.gain_db, rng, power.device) / 10)
    power = with_noise(power, mel_weights, config.noise, rng)
    dropped = drop(power.transpose(1, 2), config.drop_bands, config.drop_spans, rng).transpose(1, 2)
    power = torch.where(share_of(power, config.drop, rng), dropped, power)
    return 10 * torch.log10(power.clamp_min(floor))


def with_noise(power: Tensor, mel_weights: Tensor, share: float, rng: Generator) -> Tensor:
    """Add white noise to a share of mel powers `[B, T, n_mels]`, 10 to 40 dB below each.

    The powers of independent sounds add up on average; a band's power fluctuates as the mean of its bins does.
    """
    total = mel_weights.sum(dim=0)
    shape = total / total.mean()
    bins = total.square() / mel_weights.square().sum(dim=0).clamp_min(1e-12)
    noise = torch.randn(power.shape, generator=rng).to(power.device)
    fluctuation = (1 + noise / bins.clamp_min(1).sqrt()).clamp_min(0.05)
    below_db = uniform((len(power), 1, 1), 10.0, 40.0, rng, power.device)
    level = power.mean(dim=(1, 2), keepdim=True) * 10 ** (-below_db / 10)
    touched = share_of(power, share, rng)
    return torch.where(touched, power + level * shape * fluctuation, power)
