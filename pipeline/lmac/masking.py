"""From a mask to the sound that it keeps: the masked magnitude, and the waveform made from it."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.audio.pcm import PEAK, round_to_pcm
from pipeline.models.frontend import FrontEnd


def quantised(mask: Tensor) -> Tensor:
    """Quantise masks in [0, 1] to uint8 in 255ths, as stored; scores and listenables use this same quantised mask.

    >>> quantised(torch.tensor([0.0, 0.5, 1.0])).tolist()
    [0, 128, 255]
    """
    return (mask * 255).round().to(torch.uint8)


def mask_of(levels: Tensor) -> Tensor:
    """Return masks in [0, 1], float32, from their `levels` in 255ths, of the same shape."""
    return levels.float() / 255


def apply_mask(magnitude: Tensor, mask: Tensor, domain: str) -> Tensor:
    """Apply a mask in [0, 1] to linear magnitudes `[B, F, T]`: `M |X|`, or `expm1(M log1p |X|)` in domain `log1p`.

    Raises ValueError for any other domain.

    >>> [float(apply_mask(torch.tensor(3.0), torch.tensor(0.5), domain)) for domain in ("magnitude", "log1p")]
    [1.5, 1.0]
    """
    if domain == "magnitude":
        return mask * magnitude
    if domain == "log1p":
        return torch.expm1(mask * torch.log1p(magnitude))
    raise ValueError(f"mask_domain must be 'magnitude' or 'log1p', got {domain!r}")


def listenables(
    front_end: FrontEnd, masked: Tensor, stft: Tensor, n_samples: int, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Turn masked magnitudes `[k B, F, T]` into waveforms `[k B, n_samples]`, with their gains in dB `[k B]`.

    Each is `ISTFT(masked magnitude, phase of the input)`, with the STFTs `stft` `[B, F, T]` of the B inputs, on the
    16-bit grid and within full scale (`to_pcm_grid`). It is silent from sample `lengths` `[B]` on, where the input is
    padding.
    """
    sound = front_end.with_phase(masked, stft, n_samples)
    if lengths is not None:
        stop = lengths.repeat(len(sound) // len(stft))[:, None]
        sound = sound * (torch.arange(n_samples, device=sound.device) < stop)
    return to_pcm_grid(sound)


def to_pcm_grid(sound: Tensor) -> tuple[Tensor, Tensor]:
    """Round waveforms `[B, n]` as 16-bit FLAC will hold them, and return them with the gain in dB `[B]` applied.

    The gain is 0 unless a peak exceeds full scale; then the whole waveform is attenuated, not clipped.
    """
    peak = sound.abs().amax(dim=1, keepdim=True)
    gain = torch.where(peak > PEAK, PEAK / peak.clamp_min(PEAK), torch.ones_like(peak))
    return round_to_pcm(sound * gain), 20 * gain[:, 0].log10()
