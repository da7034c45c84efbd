"""A spectrogram as an image, and a mask as a veil over it, on the classifier's own scale of frequency."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 320, 128
# Bins further below the loudest one are drawn as silence.
RANGE_DB = 70.0
# The darkest colour of the map: where the veil is opaque, it looks like silence.
VEIL = (0, 0, 4)
_ALPHAS = 8
_APART = 0.06
_COLOURS = (matplotlib.colormaps["magma"](np.linspace(0, 1, 256))[:, :3] * 255).round().astype(np.uint8)
_TICKS_HZ = (100, 200, 500, 1000, 2000, 4000, 8000, 16_000, 32_000)


class Axes:
    """Rows of equal height in mel between the classifier's lowest and highest frequency, columns of equal time.

    `edges_hz` `[n_bands + 1]` are those of the classifier's mel bands, `bin_hz` and `hop_s` the grid of its masks.
    """

    def __init__(self, edges_hz: Sequence[float], bin_hz: float, hop_s: float) -> None:
        self.edges_hz, self.bin_hz, self.hop_s = list(edges_hz), bin_hz, hop_s
        place = np.linspace(0, len(edges_hz) - 1, HEIGHT + 1)
        self.rows_hz = np.interp(place, np.arange(len(edges_hz)), edges_hz)

    def ticks(self) -> list[tuple[int, float]]:
        """Frequencies in Hz to label beside a picture, and how far up they lie, from 0 to 1."""
        heights = np.interp(_TICKS_HZ, self.rows_hz, np.linspace(0, 1, HEIGHT + 1))
        named: list[tuple[int, float]] = []
        for hz, height in zip(_TICKS_HZ, heights, strict=True):
            # Labels are a line of text high: those too near another, or an end, are left out.
            if 0.03 < height < 0.97 and (not named or height - named[-1][1] > _APART):
                named.append((hz, float(height)))
        return named

    def spectrogram(self, waveform: NDArray[np.float32], sample_rate: int) -> bytes:
        """The levels of a waveform `[n]`, as JPEG: the loudest place is white, 70 dB below it black."""
        n_fft, hop = round(sample_rate / self.bin_hz), max(1, round(self.hop_s * sample_rate))
        padded = np.pad(waveform, (n_fft // 2, n_fft // 2 + -len(waveform) % hop))
        frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
        power: NDArray[np.float32] = np.abs(np.fft.rfft(frames * np.hanning(n_fft), axis=1)).T.astype(np.float32) ** 2
        levels = 10 * np.log10(np.maximum(self._resampled(power), 1e-10))
        shade = np.clip((levels - levels.max()) / RANGE_DB + 1, 0, 1) if levels.max() > -90 else np.zeros_like(levels)
        buffer = io.BytesIO()
        Image.fromarray(_COLOURS[(shade * 255).astype(np.uint8)]).save(buffer, "JPEG", quality=72, optimize=True)
        return buffer.getvalue()

    def veil(self, mask: NDArray[np.uint8]) -> bytes:
        """A mask `[F, T]` in 255ths as PNG: clear where it keeps the sound, dark where it removes it."""
        removed = 1 - self._resampled(mask.astype(np.float32)) / 255
        image = Image.fromarray((removed * (_ALPHAS - 1)).round().astype(np.uint8), "P")
        image.putpalette(VEIL * _ALPHAS)
        alphas = bytes(np.linspace(0, 255, _ALPHAS).round().astype(np.uint8))
        buffer = io.BytesIO()
        image.save(buffer, "PNG", optimize=True, bits=4, transparency=alphas)
        return buffer.getvalue()

    def _resampled(self, grid: NDArray[np.float32]) -> NDArray[np.float32]:
        """Means of a grid `[F, T]` of bins and frames over the picture's rows and columns, high frequencies on top."""
        rows = _means(grid, self.rows_hz / self.bin_hz + 0.5)
        columns = np.linspace(0, grid.shape[1], min(WIDTH, grid.shape[1]) + 1)
        return _means(rows.T, columns).T[::-1]


def _means(values: NDArray[np.float32], borders: NDArray[np.float64]) -> NDArray[np.float32]:
    """The mean of steps `[n, m]`, each of length 1, between borders from 0 to n: `[borders - 1, m]`."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    borders = np.clip(borders, 0, len(values))
    low = np.minimum(borders.astype(int), len(values) - 1)
    sums = total[low] + (borders - low)[:, None] * (total[low + 1] - total[low])
    return (np.diff(sums, axis=0) / np.maximum(np.diff(borders), 1e-9)[:, None]).astype(np.float32)
