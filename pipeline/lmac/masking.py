"""From a mask to what is kept of a sound: the masked magnitude, and the waveform that is written of it."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.audio.pcm import PEAK, round_to_pcm


def quantised(mask: Tensor) -> Tensor:
    """Masks in [0, 1] as uint8 in 255ths, as they are stored; scores and sound belong to the very mask stored."""
    return (mask * 255).round().to(torch.uint8)


def apply_mask(magnitude: Tensor, mask: Tensor, domain: str) -> Tensor:
    """Masked linear magnitude `[B, F, T]`: `M |X|`, or `expm1(M log1p |X|)` in the `log1p` domain."""
    if domain == "magnitude":
        return mask * magnitude
    if domain == "log1p":
        return torch.expm1(mask * torch.log1p(magnitude))
    raise ValueError(f"mask_domain must be 'magnitude' or 'log1p', got {domain!r}")


def to_pcm_grid(sound: Tensor) -> tuple[Tensor, Tensor]:
    """Waveforms `[B, n]` as 16-bit FLAC will hold them, and the gain in dB `[B]` that this took.

    The gain is 0 unless a peak lies above full scale; then the whole waveform is lowered, not clipped.
    """
    peak = sound.abs().amax(dim=1, keepdim=True)
    gain = torch.where(peak > PEAK, PEAK / peak.clamp_min(PEAK), torch.ones_like(peak))
    return round_to_pcm(sound * gain), 20 * gain[:, 0].log10()
