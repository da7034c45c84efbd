"""Candidates among synthetic embeddings in clusters, and the likeliest pairs compared: CPU time and peak memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.duplicates.candidates import MAX_PAIRS, find_candidates
from pipeline.audit.duplicates.recorded_windows import RecordedWindows
from pipeline.audit.duplicates.verify_pairs import verify
from pipeline.audit.duplicates.waveform_match import RATE

_DIMENSIONS, _BANDS, _CLUSTERS, _COPIES, _SECONDS = 256, 64, 200, 1000, 5.0
_PEAK = "VmHWM:"


def clustered(n: int, dimensions: int, copies: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Vectors `[n, dimensions]` in clusters; the last `copies` repeat the first with a little noise."""
    vectors = np.empty((n, dimensions), np.float32)
    centres = rng.standard_normal((_CLUSTERS, dimensions), dtype=np.float32)
    for first in range(0, n, 65_536):
        block = vectors[first : first + 65_536]
        block[:] = centres[rng.integers(0, _CLUSTERS, len(block))]
        block += 0.5 * rng.standard_normal(block.shape, dtype=np.float32)
    vectors[n - copies :] = vectors[:copies] + 0.1 * rng.standard_normal((copies, dimensions), dtype=np.float32)
    return vectors


def sounds(window_ids: Collection[str], n: int, copies: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Noise for each window; the last `copies` have that of the first, at half its level."""
    for window_id in window_ids:
        number = int(window_id)
        of = number - (n - copies) if number >= n - copies else number
        noise = np.random.default_rng(of).standard_normal(round(_SECONDS * RATE), dtype=np.float32)
        yield window_id, noise * np.float32(0.05 if of != number else 0.1)


def search(n: int) -> None:
    """Print a line for so many windows, a recording each."""
    rng, copies = np.random.default_rng(0), min(_COPIES, n // 10)
    descriptions = [clustered(n, dimensions, copies, rng) for dimensions in (_DIMENSIONS, _BANDS)]
    made = _peak_mib()
    numbers = np.arange(n)
    started = time.process_time()
    found = find_candidates(descriptions, numbers)
    searched = time.process_time() - started
    peak = _peak_mib()
    del descriptions
    planted = {(number, n - copies + number) for number in range(copies)}
    there = len(planted & set(map(tuple, found.pairs.tolist())))
    names = [f"{number:07d}" for number in range(n)]
    recorded = RecordedWindows(
        window_ids=names,
        clip_ids=names,
        start_s=np.zeros(n),
        duration_s=np.full(n, _SECONDS),
        recording=numbers,
        clip=numbers,
        sound=numbers,
        heard=np.ones(n, bool),
        names=names,
        splits=[None] * n,
        labels=[()] * n,
    )
    reading = 0.0

    def read(window_ids: Collection[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        nonlocal reading
        begun = time.process_time()
        for one in sounds(window_ids, n, copies):
            reading += time.process_time() - begun
            yield one
            begun = time.process_time()

    started = time.process_time()
    verified = verify(recorded, found.pairs, read, RATE).copies
    compared = time.process_time() - started - reading
    right = len({(one.first, one.second) for one in verified} & planted)
    print(f"{n:8d} {made:10.0f} {searched:9.1f} {peak:9.0f} {there / copies:11.3f} {len(found.pairs):6d}", end=" ")
    print(f"{compared:10.1f} {_peak_mib():9.0f} {right / copies:8.3f} {len(verified) - right:6d}", flush=True)


def measure(counts: list[int]) -> None:
    """Print a line for each count, made in a process of its own, whose peak is not that of others."""
    print(f"{_CLUSTERS} clusters, {_DIMENSIONS} and {_BANDS} dimensions, up to {MAX_PAIRS} pairs compared", flush=True)
    print("                      candidates:                          compared:")
    print(
        " windows  MiB given     CPU s  peak MiB  of planted   pairs      CPU s  peak MiB    found  wrong", flush=True
    )
    for count in counts:
        code = f"from benchmarks.duplicates_at_scale import search; search({count})"
        subprocess.run([sys.executable, "-c", code], check=True)


def _peak_mib() -> float:
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(_PEAK))
