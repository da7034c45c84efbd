"""Profiles of a mask: its mean in each of the classifier's mel bands, and in spans of time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas.explainer_config import FrontEndConfig
from schemas.tables import TIME_SPANS

# Slaney's scale: linear up to 1 kHz in steps of 200/3 Hz, above it 27 steps to a factor of 6.4.
_LINEAR_HZ, _BREAK_HZ, _LOG_STEP = 200.0 / 3.0, 1000.0, np.log(6.4) / 27.0


def band_edges_hz(front_end: FrontEndConfig) -> NDArray[np.float64]:
    """Return the edges `[n_mels + 1]` of the front end's mel bands in Hz, ascending.

    A band reaches halfway, in mel, to the centres of the neighbouring filters; the outermost end at `f_min` and
    `f_max`. So the bands do not overlap, and what a band holds belongs to no other.
    """
    low, high = _mel(np.array([front_end.f_min, front_end.f_max]), front_end.mel_scale)
    step = (high - low) / (front_end.n_mels + 1)
    inner = low + step * (np.arange(1, front_end.n_mels) + 0.5)
    # Rounded as they are recorded, so that a profile can be recomputed from its file.
    return np.round(_hz(np.concatenate([[low], inner, [high]]), front_end.mel_scale), 3)


def band_profile(by_freq: NDArray[np.float64], edges_hz: NDArray[np.float64], bin_hz: float) -> NDArray[np.float32]:
    """Return the mean of a mask in each band between two edges, `[n_bands]`, from its means over frames `[n_freq]`.

    Bin f extends from (f - 1/2) to (f + 1/2) times `bin_hz`; a bin that an edge divides counts in both, by its shares.
    """
    return _means(by_freq, edges_hz / bin_hz + 0.5)


def time_profile(by_frame: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the mean of a mask in each of `TIME_SPANS` equal spans, from its means over bins `[n_frames]`."""
    return _means(by_frame, np.linspace(0, len(by_frame), TIME_SPANS + 1))


def _means(values: NDArray[np.float64], borders: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the mean of steps `values` `[n]`, each of length 1, between borders `[m + 1]` from 0 to n."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    borders = np.clip(borders, 0, len(values))
    sums = np.diff(np.interp(borders, np.arange(len(values) + 1), total))
    return (sums / np.maximum(np.diff(borders), 1e-12)).astype(np.float32)


def _mel(hz: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    if scale == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))
    above = _BREAK_HZ / _LINEAR_HZ + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _LINEAR_HZ, above)


def _hz(mel: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    if scale == "htk":
        return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
    at_break = _BREAK_HZ / _LINEAR_HZ
    above = _BREAK_HZ * np.exp(_LOG_STEP * np.maximum(mel - at_break, 0))
    return np.where(mel < at_break, mel * _LINEAR_HZ, above)
