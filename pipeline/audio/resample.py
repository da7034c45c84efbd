"""Resampling in blocks that join seamlessly; each can be computed without those before it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

# Frames of a block, and how far soxr's filter reaches at most, in samples of the lower rate.
_BLOCK_FRAMES, _REACH = 1 << 20, 1024


@dataclass(frozen=True)
class BlockGrid:
    """Blocks of `frames` frames at `rate_in`, which are `samples` samples at `rate_out`, both whole numbers.

    A block is resampled with `context` frames before and after it, so that its samples do not depend on where
    decoding began: they are the same whether all of a recording is decoded or only its end.
    """

    rate_in: int
    rate_out: int
    frames: int
    samples: int
    context: int

    @classmethod
    def of(cls, rate_in: int, rate_out: int, channels: int) -> BlockGrid:
        """Return the grid for a file with this many channels."""
        common = math.gcd(rate_in, rate_out)
        period = rate_in // common
        periods = -(-_BLOCK_FRAMES // channels // period)
        context = -(-math.ceil(_REACH * max(1.0, rate_in / rate_out)) // period) * period if rate_in != rate_out else 0
        return cls(rate_in, rate_out, periods * period, periods * (rate_out // common), context)

    def resample(self, number: int, waveform: NDArray[np.float32], ends: bool) -> NDArray[np.float32]:
        """Return block `number` `[c, samples]` from its frames and their context `[c, n]`; the rest if it `ends`."""
        if self.rate_in != self.rate_out:
            channels = [self._resample(channel)[None] for channel in waveform]
            waveform = channels[0] if len(channels) == 1 else np.concatenate(channels)
        before = self.context if number else 0
        waveform = waveform[:, before * self.rate_out // self.rate_in :]
        return waveform if ends else waveform[:, : self.samples]

    def _resample(self, channel: NDArray[np.float32]) -> NDArray[np.float32]:
        resampler = soxr.ResampleStream(self.rate_in, self.rate_out, 1, dtype="float32", quality="HQ")
        return resampler.resample_chunk(np.ascontiguousarray(channel), last=True)
