"""Augment batches of training audio on the device that holds them.

Every draw comes from the caller's CPU generator, so that augmentation is the same on every kind of device.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample

from pipeline.models.frontend import FrontEnd
from schemas.training_config import AugmentConfig, DecoderTraining


def uniform(
    shape: tuple[int, ...], low: float, high: float, rng: Generator, device: torch.device | None = None
) -> Tensor:
    """Draw uniform random numbers in [low, high) on the CPU, and copy them to `device` if given."""
    return (torch.rand(shape, generator=rng) * (high - low) + low).to(device)


def share_of(batch: Tensor, share: float, rng: Generator) -> Tensor:
    """Draw a random share of a batch `[B, ...]`: bool `[B, 1, ...]` with as many axes, on the same device."""
    return (torch.rand((len(batch), *[1] * (batch.ndim - 1)), generator=rng) < share).to(batch.device)


def roll_in_time(waveform: Tensor, rng: Generator) -> Tensor:
    """Rotate each waveform of `[B, n]`, or log-mel of `[B, T, n_mels]`, in time by its own random shift."""
    n, device = waveform.shape[1], waveform.device
    shift = torch.randint(n, (len(waveform), 1), generator=rng).to(device)
    source = (torch.arange(n, device=device)[None] + shift) % n
    source = source.reshape(len(waveform), n, *[1] * (waveform.ndim - 2))
    return waveform.gather(1, source.expand_as(waveform))


def random_gain(waveform: Tensor, gain_db: float, rng: Generator) -> Tensor:
    """Change the level of each waveform of `[B, n]` by up to ±gain_db."""
    return waveform * 10 ** (uniform((len(waveform), 1), -gain_db, gain_db, rng, waveform.device) / 20)


def mixup(waveform: Tensor, target: Tensor, share: float, rng: Generator) -> tuple[Tensor, Tensor]:
    """Blend a share of waveforms `[B, n]` with others of the batch, and their targets `[B, C]` likewise.

    This is mixup (Zhang et al. 2018) on waveforms, with weights from Beta(1, 1).
    """
    weight = uniform((len(waveform), 1), 0.0, 1.0, rng, waveform.device)
    touched = share_of(waveform, share, rng)
    weight = torch.where(touched, torch.maximum(weight, 1 - weight), torch.ones_like(weight))
    partner = torch.randperm(len(waveform), generator=rng).to(waveform.device)
    return weight * waveform + (1 - weight) * waveform[partner], weight * target + (1 - weight) * target[partner]


def silence(waveform: Tensor, target: Tensor, share: float, rng: Generator) -> tuple[Tensor, Tensor]:
    """Silence a share of waveforms `[B, n]` and make their targets `[B, C]` uniform, as silence has no class."""
    touched = share_of(waveform, share, rng)
    even = torch.full_like(target, 1 / target.shape[1])
    return torch.where(touched, torch.zeros_like(waveform), waveform), torch.where(touched, even, target)


def add_noise(waveform: Tensor, share: float, rng: Generator) -> Tensor:
    """Add white noise to a share of waveforms `[B, n]`, 10 to 40 dB below each."""
    level = waveform.square().mean(dim=1, keepdim=True).sqrt()
    gain = 10 ** (-uniform((len(waveform), 1), 10.0, 40.0, rng, waveform.device) / 20)
    touched = share_of(waveform, share, rng)
    noise = torch.randn(waveform.shape, generator=rng).to(waveform.device)
    return torch.where(touched, waveform + level * gain * noise, waveform)


def stretch(magnitude: Tensor, amount: float, rng: Generator) -> Tensor:
    """Change tempo and pitch of magnitudes `[B, F, T]` by up to ±amount each, keeping their size."""
    n = len(magnitude)
    scale = 1 + uniform((n, 2), -amount, amount, rng)
    offset = uniform((n,), -1.0, 1.0, rng) * (1 - scale[:, 0]).abs()
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = scale[:, 0], offset
    # Pitch scales frequency from bin 0, which stays in place.
    theta[:, 1, 1], theta[:, 1, 2] = scale[:, 1], scale[:, 1] - 1
    grid = affine_grid(theta.to(magnitude.device), [n, 1, *magnitude.shape[1:]], align_corners=True)
    return grid_sample(magnitude[:, None], grid, align_corners=True)[:, 0]


def drop(magnitude: Tensor, bands: int, spans: int, rng: Generator) -> Tensor:
    """Zero random bands and time spans of magnitudes `[B, F, T]` (SpecAugment, Park et al. 2019).

    Zeros are used instead of means because a mask leaves zeros too, so the classifier gets to know them.
    """
    kept = []
    for axis, count in ((1, bands), (2, spans)):
        size = magnitude.shape[axis]
        position = torch.arange(size)
        keep = torch.ones(len(magnitude), size, dtype=torch.bool)
        for _ in range(count):
            width = uniform((len(magnitude), 1), 0.0, size / 8, rng)
            # Bands are drawn on a warped axis, so that they are narrow in Hz at low frequencies, where most sounds lie.
            start = uniform((len(magnitude), 1), 0.0, 1.0, rng)
            start = (start.square() if axis == 1 else start) * size
            width = width * (0.2 + 0.8 * start / size) if axis == 1 else width
            keep &= ~((position >= start) & (position < start + width))
        kept.append(keep.to(magnitude.device))
    return magnitude * (kept[0][:, :, None] & kept[1][:, None, :])


def mixture(waveform: Tensor, share: float, within_db: float, rng: Generator) -> Tensor:
    """Add to a share of waveforms `[B, n]` another of the batch, within ±within_db of their own level."""
    n = len(waveform)
    if n < 2:
        return waveform
    level = waveform.square().mean(dim=1, keepdim=True).sqrt().clamp_min(1e-6)
    # A rotation rather than a permutation, so that no window is mixed with itself.
    partner = (torch.arange(n, device=waveform.device) + int(torch.randint(1, n, (1,), generator=rng))) % n
    gain = 10 ** (uniform((n, 1), -within_db, within_db, rng, waveform.device) / 20) * level / level[partner]
    touched = share_of(waveform, share, rng)
    mixed = (waveform + gain * waveform[partner]) / math.sqrt(2)
    return torch.where(touched, mixed, waveform)


def augment_waveform(waveform: Tensor, target: Tensor, config: AugmentConfig, rng: Generator) -> tuple[Tensor, Tensor]:
    """Augment waveforms `[B, n]` and targets `[B, C]` for classifier training: roll, gain, mixup, noise."""
    waveform = roll_in_time(waveform, rng) if config.roll else waveform
    waveform = random_gain(waveform, config.gain_db, rng)
    waveform, target = mixup(waveform, target, config.mixup, rng)
    waveform = add_noise(waveform, config.noise, rng)
    return silence(waveform, target, config.silence, rng) if config.silence else (waveform, target)


def augment_magnitude(magnitude: Tensor, config: AugmentConfig, rng: Generator) -> Tensor:
    """Augment magnitudes `[B, F, T]` for classifier training: stretch and drop."""
    if config.stretch:
        magnitude = stretch(magnitude, config.stretch, rng)
    return drop(magnitude, config.drop_bands, config.drop_spans, rng)


def augmented_magnitude(waveform: Tensor, front_end: FrontEnd, config: DecoderTraining, rng: Generator) -> Tensor:
    """Augment windows `[B, n]` for decoder training, to magnitudes `[B, F, T]`: roll, gain, mixture, noise, stretch."""
    waveform = random_gain(roll_in_time(waveform, rng), config.gain_db, rng)
    waveform = mixture(waveform, config.mixtures, config.mixture_db, rng)
    waveform = add_noise(waveform, config.noise, rng) if config.noise else waveform
    magnitude = front_end.stft(waveform).abs()
    return stretch(magnitude, config.stretch, rng) if config.stretch else magnitude
