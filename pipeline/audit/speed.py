"""Suspects of a wrong speed: by their length, and by a spectrum that fits their label once it is shifted as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.audited import AuditedRun, rows_of

# Fewest recordings of a label that is examined, and most of them that each one is compared with.
_ENOUGH, _COMPARED = 20, 300
# Points of a spectrum, evenly spaced in octaves; lower levels than this count as nothing.
_POINTS, _FLOOR_DBFS = 80, -100.0
# Speeds at which files with a mistaken sample rate are played.
_SPEEDS = (2.0, 0.5, 1.5, 2 / 3, 44_100 / 16_000, 16_000 / 44_100)
_NEAREST = 5
# A suspect's log distance to its label's other recordings is this many robust standard deviations above the median;
# at another speed it is less than half a deviation above it, or less than 0.2.
_FAR, _FITS, _FITS_AT_LEAST = 3.5, 0.5, 0.2


def wrong_speed(about: AuditedRun) -> list[dict[str, Any]]:
    """Find suspects of a wrong speed, as rows like those of `questions/broken_audio.sql`; `measured` is the speed.

    They are found by length first (`questions/wrong_speed.sql`), else by spectrum (`shifted_spectra`).
    """
    by_length = about.ask("wrong_speed")
    rows = [_row("length", row["clip_id"], row["window_id"], row["speed"], 2.0) for row in by_length]
    told = {row["clip_id"] for row in rows}
    edges = np.asarray(about.run.record.explainer["band_edges_hz"])
    levels = about.mean_by_recording(rows_of(about.windows["band_levels_dbfs"]))
    labels = about.of_recordings(about.labels)
    for recording, speed, score in shifted_spectra(levels, edges, [own[0] if own else None for own in labels]):
        clip_id = about.recordings[recording]
        if clip_id not in told:
            rows.append(_row("spectrum", clip_id, about.window_ids[about.first_windows[recording]], speed, score))
    return rows


def shifted_spectra(
    levels: NDArray[np.float32], edges_hz: NDArray[np.float64], labels: list[str | None]
) -> list[tuple[int, float, float]]:
    """Find recordings, as rows of `levels` `[R, bands]` in dBFS, that fit their label only at another speed.

    Each comes with that speed and with its distance from its label as it is, 1 at the bound. Levels are taken relative
    to their mean, so that loudness does not count.
    """
    centres = np.log((edges_hz[:-1] + edges_hz[1:]) / 2)
    grid = np.linspace(max(centres[0], np.log(100.0)), centres[-1], _POINTS)
    levels = np.maximum(levels, _FLOOR_DBFS)

    def spectra(rows: NDArray[np.int64], speed: float = 1.0) -> NDArray[np.float64]:
        """Spectra `[n, points]` of recordings played `speed` times slower; NaN where nothing was measured."""
        at = grid + np.log(speed)
        found = np.stack([np.interp(at, centres, levels[row]) for row in rows])
        found[:, (at < centres[0]) | (at > centres[-1])] = np.nan
        return found

    found = []
    for label in sorted({one for one in labels if one is not None}):
        rows = np.flatnonzero([one == label for one in labels])
        # Silence has no spectrum.
        rows = rows[levels[rows].max(axis=1) > _FLOOR_DBFS]
        if len(rows) < _ENOUGH:
            continue
        others = spectra(rows[:: -(-len(rows) // _COMPARED)])
        as_it_is = np.log(_distances(spectra(rows), others))
        spread = max(1.4826 * float(np.median(np.abs(as_it_is - np.median(as_it_is)))), 1e-6)
        z = (as_it_is - np.median(as_it_is)) / spread
        for place in np.flatnonzero(z > _FAR).tolist():
            own = rows[place : place + 1]
            at_speeds = np.log([_distances(spectra(own, speed), others)[0] for speed in _SPEEDS])
            if at_speeds.min() < np.median(as_it_is) + max(_FITS * spread, _FITS_AT_LEAST):
                found.append((int(own[0]), _SPEEDS[int(at_speeds.argmin())], float(z[place] / _FAR)))
    return found


def _distances(spectra: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean RMS difference in dB of each spectrum to its nearest others, where it was measured."""
    there = ~np.isnan(spectra[0])
    a, b = spectra[:, there], others[:, there]
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    squares = np.square(a).mean(axis=1)[:, None] + np.square(b).mean(axis=1)[None] - 2 * (a @ b.T) / a.shape[1]
    near = np.sort(np.sqrt(np.maximum(squares, 0.0)), axis=1)
    # A spectrum may be among the others itself.
    first = (near[:, 0] < 1e-4).astype(np.int64)[:, None]
    chosen = np.take_along_axis(near, np.arange(_NEAREST)[None] + first, axis=1)
    return np.asarray(np.maximum(chosen.mean(axis=1), 1e-3))


def _row(by: str, clip_id: str, window_id: str, speed: float, score: float) -> dict[str, Any]:
    row: dict[str, Any] = {"clip_id": clip_id, "window_id": window_id, "fault": "wrong_speed", "by": by}
    return row | {"measured": speed, "unit": "times its speed", "score": score}
