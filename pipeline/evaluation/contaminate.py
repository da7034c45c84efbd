"""Make contaminated audio from clean windows, of the same length, independent of the order for a given seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.evaluation.names import EvaluationError, same_name
from pipeline.inputs.load_windows import load_windows
from pipeline.inputs.window_set import WindowSet
from pipeline.storage.filesystem import display_url
from schemas.explainer_config import FrontEndConfig

CLEAN = "clean"
MIXTURE_SHARES = (0.8, 0.2)
_QUIETEST = 1e-9  # far below one step of 16 bits: quieter audio is not amplified

# Draws n samples of noise with a generator.
Stretch = Callable[[np.random.Generator, int], Tensor]


@dataclass(frozen=True)
class Audio:
    """Audio to be explained: a name for the tables, waveforms `[B, n]` by the windows' numbers `[B]`, and a digest of
    what was done to the clean windows."""

    name: str
    waveforms: Callable[[Tensor], Tensor]
    digest: str


@dataclass(frozen=True)
class Contamination:
    """`mixture`, or noise of a `source` (None: white) at an SNR in dB."""

    name: str
    source: str | None = None
    snr_db: float | None = None


def parse_contamination(text: str) -> Contamination:
    """Parse `mixture`, `white-noise:10` or `FOLDER:0`, and name it for the tables.

    Raises EvaluationError for a text of another form.
    """
    if same_name(text, "mixture"):
        return Contamination("mixture")
    source, colon, level = text.rpartition(":")
    try:
        snr_db = float(level)
    except ValueError:
        snr_db = float("nan")
    if not colon or not source or not np.isfinite(snr_db):
        raise EvaluationError(
            f"{display_url(text)!r} is no contamination: write mixture, white-noise:DB or FOLDER:DB, where DB is "
            "the sound over the noise in decibels, such as white-noise:10"
        )
    if same_name(source, "white-noise"):
        return Contamination(f"white-noise {snr_db:g} dB", None, snr_db)
    folder = display_url(source).rstrip("/").rpartition("/")[2] or source
    return Contamination(f"{folder} {snr_db:g} dB", source, snr_db)


def clean_audio(windows: WindowSet) -> Audio:
    """Return the windows unchanged, as audio."""
    return Audio(CLEAN, windows.waveforms, CLEAN)


def contaminated_audio(
    contamination: Contamination,
    windows: WindowSet,
    labels: Sequence[Collection[str]],
    front_end: FrontEndConfig,
    scratch: Path,
    seed: int,
) -> Audio:
    """Contaminate every window; `labels` are those of the recordings, empty if unknown.

    Raises EvaluationError if there is nothing to mix with, and what `load_windows` raises for a folder.
    """
    if contamination.snr_db is None:
        partner = _partners(windows, labels, seed)

        def mixed(indices: Tensor) -> Tensor:
            return mixture(windows.waveforms(indices), windows.waveforms(partner[indices]))

        return Audio(contamination.name, mixed, f"mixture-{seed}")

    snr_db, starts = contamination.snr_db, _first_windows(windows)
    stretch: Stretch = _white
    if contamination.source is None:
        what = "white-noise"
    else:
        noises = load_windows(contamination.source, front_end, scratch)
        what, stretch = noises.digest(), _stretches(noises, contamination.source)

    def noisy(indices: Tensor) -> Tensor:
        sound = windows.waveforms(indices)
        rows = []
        for index, window in zip(indices.tolist(), sound, strict=True):
            recording = int(windows.recording_index[index])
            rng = _rng(seed, contamination.name, windows.keys[recording], index - starts[recording])
            rows.append(stretch(rng, len(window)))
        return at_snr(sound, torch.stack(rows), snr_db)

    return Audio(contamination.name, noisy, f"{what}-{snr_db}-{seed}")


def mixture(sound: Tensor, other: Tensor) -> Tensor:
    """Mix 0.8 of waveforms `[B, n]` with 0.2 of others, each scaled to RMS 1 first, and restore the former's RMS."""
    level = _rms(sound)
    first, second = (one / _rms(one).clamp_min(_QUIETEST) for one in (sound, other))
    mixed = MIXTURE_SHARES[0] * first + MIXTURE_SHARES[1] * second
    return mixed * level / _rms(mixed).clamp_min(_QUIETEST)


def at_snr(sound: Tensor, noise: Tensor, snr_db: float) -> Tensor:
    """Add noise to waveforms `[B, n]`, `snr_db` decibels below each; silent ones stay silent."""
    return sound + noise * (_rms(sound) / _rms(noise).clamp_min(_QUIETEST)) * 10 ** (-snr_db / 20)


def _rms(waveform: Tensor) -> Tensor:
    return waveform.square().mean(dim=1, keepdim=True).sqrt()


def _rng(*words: object) -> np.random.Generator:
    # Seeded by name, not by number, so that noise is the same in any selection of recordings.
    return np.random.default_rng(list(hashlib.sha256(repr(words).encode()).digest()))


def _first_windows(windows: WindowSet) -> np.ndarray:
    return np.searchsorted(windows.recording_index, np.arange(len(windows.keys)))


def _partners(windows: WindowSet, labels: Sequence[Collection[str]], seed: int) -> Tensor:
    partner = np.empty(len(windows), dtype=np.int64)
    for recording, key in enumerate(windows.keys):
        others = [
            other
            for other, found in enumerate(labels)
            if other != recording and set(labels[recording]).isdisjoint(found)
        ]
        if not others:
            raise EvaluationError(
                f"{key!r} cannot be mixed: there is no recording with another label; evaluate more recordings, or"
                " replace the mixture: --contaminate white-noise:10, or --contaminate none"
            )
        rng = _rng(seed, "mixture", key)
        for window in np.flatnonzero(windows.recording_index == recording):
            candidates = np.flatnonzero(windows.recording_index == others[int(rng.integers(len(others)))])
            partner[window] = candidates[int(rng.integers(len(candidates)))]
    return torch.from_numpy(partner)


def _white(rng: np.random.Generator, n: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(n).astype(np.float32))


def _stretches(noises: WindowSet, source: str) -> Stretch:
    recordings = [np.flatnonzero(noises.recording_index == recording) for recording in range(len(noises.keys))]

    def draw(rng: np.random.Generator, n: int) -> Tensor:
        for _ in range(100):
            recording = noises.waveforms(torch.from_numpy(recordings[int(rng.integers(len(recordings)))])).flatten()
            start = int(rng.integers(len(recording) - n + 1))
            stretch = recording[start : start + n]
            if float(stretch.square().mean()) > 0:
                return stretch
        raise EvaluationError(f"{display_url(source)} is silent almost everywhere: there is nothing to mix in")

    return draw
