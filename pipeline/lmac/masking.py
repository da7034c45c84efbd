"""From a mask to the sound that it keeps: the masked magnitude, and the waveform that is written of it."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.audio.pcm import PEAK, round_to_pcm
from pipeline.models.frontend import FrontEnd


def quantised(mask: Tensor) -> Tensor:
    """Masks in [0, 1] as uint8 in 255ths, as they are stored; scores and listenables belong to the very mask stored.

    >>> quantised(torch.tensor([0.0, 0.5, 1.0])).tolist()
    [0, 128, 255]
    """
    return (mask * 255).round().to(torch.uint8)


def apply_mask(magnitude: Tensor, mask: Tensor, domain: str) -> Tensor:
    """Masked linear magnitude `[B, F, T]` of a mask in [0, 1]: `M |X|`, or `expm1(M log1p |X|)` in the `log1p` domain.

    Raises ValueError for another domain.

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
    """The waveforms `[k B, n_samples]` that are written of masked magnitudes `[k B, F, T]`, and gains in dB `[k B]`.

    `ISTFT(masked magnitude, phase of the input)`, with the STFTs `stft` `[B, F, T]` of the B inputs, on the 16-bit grid
    and within full scale (`to_pcm_grid`). Silent from sample `lengths` `[B]` on, where an input is padding.
    """
    sound = front_end.with_phase(masked, stft, n_samples)
    if lengths is not None:
        stop = lengths.repeat(len(sound) // len(stft))[:, None]
        sound = sound * (torch.arange(n_samples, device=sound.device) < stop)
    return to_pcm_grid(sound)


def to_pcm_grid(sound: Tensor) -> tuple[Tensor, Tensor]:
    """Waveforms `[B, n]` as 16-bit FLAC will hold them, and the gain in dB `[B]` that this took.

    The gain is 0 unless a peak lies above full scale; then the whole waveform is lowered, not clipped.
    """
    peak = sound.abs().amax(dim=1, keepdim=True)
    gain = torch.where(peak > PEAK, PEAK / peak.clamp_min(PEAK), torch.ones_like(peak))
    return round_to_pcm(sound * gain), 20 * gain[:, 0].log10()
