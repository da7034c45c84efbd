"""Draw one explanation: the input's spectrogram, the mask, and the masked-in spectrogram."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Bins further below the loudest one of the input are drawn as silence.
RANGE_DB = 70.0


@dataclass(frozen=True)
class Panels:
    """What to draw: waveforms `[n]` at `sample_rate` in Hz, and a mask `[F, T]` in [0, 1] with its grid."""

    waveform: np.ndarray
    masked_in: np.ndarray
    mask: np.ndarray
    sample_rate: int
    hop_s: float
    bin_hz: float
    title: str
    subtitle: str


def draw(panels: Panels) -> bytes:
    """Draw three panels side by side as PNG, with shared axes and one scale for both spectrograms."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    whole, kept = (_decibels(x, panels) for x in (panels.waveform, panels.masked_in))
    top = float(whole.max())
    seconds = len(panels.waveform) / panels.sample_rate
    extent = (0.0, seconds, 0.0, panels.mask.shape[0] * panels.bin_hz / 1000)
    images = [
        ("input", whole, "magma", top - RANGE_DB, top),
        ("mask", panels.mask, "gray", 0.0, 1.0),
        ("masked-in", kept, "magma", top - RANGE_DB, top),
    ]
    for axis, (title, values, colours, low, high) in zip(axes, images, strict=True):
        axis.imshow(values, origin="lower", aspect="auto", extent=extent, cmap=colours, vmin=low, vmax=high)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("time, s")
    axes[0].set_ylabel("frequency, kHz")
    figure.suptitle(f"{panels.title}: {panels.subtitle}", fontsize=11)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _decibels(waveform: np.ndarray, panels: Panels) -> np.ndarray:
    n_fft = round(panels.sample_rate / panels.bin_hz)
    hop = round(panels.hop_s * panels.sample_rate)
    padded = np.pad(waveform, (n_fft // 2, n_fft // 2 + -len(waveform) % hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    magnitude = np.abs(np.fft.rfft(frames * np.hanning(n_fft), axis=1)).T
    return 20 * np.log10(np.maximum(magnitude, 1e-6))
