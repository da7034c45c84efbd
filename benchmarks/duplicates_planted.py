"""Planted copies of ESC-10's recordings found again: precision and recall by kind, beside embeddings alone."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from benchmarks.planted_copies import KINDS, Recording, Waveform, esc10_recordings, mono
from pipeline.audio.signal import measure_signal
from pipeline.audit.duplicates.candidates import find_candidates, spectral_shapes
from pipeline.audit.duplicates.neighbours import unit_vectors
from pipeline.audit.duplicates.recorded_windows import RecordedWindows
from pipeline.audit.duplicates.verify_pairs import verify
from pipeline.lmac.explainer import Explainer
from pipeline.runs.profiles import band_edges_hz
from schemas.targets import Targets

_BATCH = 16
Pairs = set[tuple[int, int]]


@dataclass(frozen=True)
class Windows:
    """The first window of each recording: sounds at `rate`, embeddings `[W, D]`, levels by band `[W, bands]`."""

    sounds: list[Waveform]
    embeddings: NDArray[np.float32]
    levels: NDArray[np.float32]
    rate: int

    def __add__(self, other: Windows) -> Windows:
        embeddings = np.concatenate([self.embeddings, other.embeddings])
        return Windows(self.sounds + other.sounds, embeddings, np.concatenate([self.levels, other.levels]), self.rate)


def windows_of(explainer: Explainer, sounds: Iterable[tuple[Waveform, int]]) -> Windows:
    """What a run has of recordings of one window each, by the explainer's own first pass."""
    front_end = explainer.config.front_end
    rate, n = front_end.sample_rate, front_end.window_samples
    edges = tuple(band_edges_hz(front_end).tolist())
    kept = [soxr.resample(sound, rate_in, rate).astype(np.float32)[:n] for sound, rate_in in sounds]
    embeddings = []
    for first in range(0, len(kept), _BATCH):
        batch = kept[first : first + _BATCH]
        padded = np.stack([np.pad(one, (0, n - len(one))) for one in batch])
        stops = torch.tensor([len(one) for one in batch])
        with torch.inference_mode():
            passed = explainer.passes.classify(torch.from_numpy(padded), stops, Targets.parse("top1"))
        embeddings.append(passed.first.output.embedding.numpy())
    levels = np.stack([measure_signal(one, rate, edges).band_levels_dbfs for one in kept])
    return Windows(kept, np.concatenate(embeddings), levels, rate)


def copies_in(windows: Windows) -> dict[tuple[int, int], float]:
    """The pairs that the audit calls copies, with their correlations: by the very functions of the audit."""
    n = len(windows.sounds)
    numbers, names = np.arange(n), [f"{number:05d}" for number in range(n)]
    recorded = RecordedWindows(
        window_ids=names,
        clip_ids=names,
        start_s=np.zeros(n),
        duration_s=np.array([len(one) / windows.rate for one in windows.sounds]),
        recording=numbers,
        clip=numbers,
        sound=numbers,
        heard=np.ones(n, bool),
        names=names,
        splits=[None] * n,
        labels=[()] * n,
    )
    descriptions = [windows.embeddings.copy(), spectral_shapes(windows.levels)]
    candidates = find_candidates(descriptions, numbers)

    def read(window_ids: Collection[str]) -> Iterator[tuple[str, Waveform]]:
        for window_id in window_ids:
            yield window_id, windows.sounds[int(window_id)]

    found = verify(recorded, candidates.pairs, read, windows.rate).copies
    return {(min(one.first, one.second), max(one.first, one.second)): one.correlation for one in found}


def score(found: Pairs, planted: Pairs, apart: Pairs, chosen: NDArray[np.bool_]) -> tuple[float, float, int]:
    """Precision, recall, and how many pairs count as neither, of pairs with a recording that is `chosen` `[W]`."""
    found = {pair for pair in found if chosen[list(pair)].any()}
    planted = {pair for pair in planted if chosen[list(pair)].any()}
    neither = found & apart
    right, claimed = len(found & planted), len(found - neither)
    return right / max(1, claimed), right / len(planted), len(neither)


def by_embedding(windows: Windows, planted: Pairs, apart: Pairs, tuned_on: NDArray[np.bool_]) -> Pairs:
    """The pairs above the similarity that has the best F1 among recordings it is tuned on, of all that are compared."""
    vectors = unit_vectors(windows.embeddings.copy())
    alike = vectors @ vectors.T
    one, other = np.triu_indices(len(vectors), 1)
    pairs = np.stack([one, other], axis=1)
    order = np.argsort(-alike[one, other], kind="stable")
    pairs = pairs[order]
    is_planted = np.array([tuple(pair) in planted for pair in pairs.tolist()])
    counts = np.array([tuple(pair) not in apart for pair in pairs.tolist()]) & tuned_on[pairs].all(axis=1)
    right, claimed = np.cumsum(is_planted & counts), np.cumsum(counts)
    f1 = 2 * right / np.maximum(1, claimed + (is_planted & counts).sum())
    return {(int(a), int(b)) for a, b in pairs[: int(f1.argmax()) + 1]}


def compare(folder: Path, name: str) -> None:
    """Print the copies that ESC-10 has by itself, and a line for each kind of planted copy."""
    explainer, recordings = Explainer.load(name), esc10_recordings(folder)
    read = [mono(folder / one.path) for one in recordings]
    originals = windows_of(explainer, read)
    own = copies_in(originals)
    print(f"{name}: {len(recordings)} recordings; copies among them as they are:")
    for (a, b), correlation in sorted(own.items()):
        same = "the same source" if recordings[a].source == recordings[b].source else "different sources"
        print(f"  {recordings[a].path} and {recordings[b].path}: correlation {correlation:.3f}, {same}")
    print("                    fold 5             all folds          embeddings, fold 5  embeddings, all")
    print(
        "copies   s      precision recall   precision recall   precision recall   precision recall   neither",
        flush=True,
    )
    n = len(recordings)
    folds = np.array([one.fold for one in recordings] * 2)
    planted = {(number, number + n) for number in range(n)}
    apart = _apart(recordings, set(own)) - planted
    for kind, change in KINDS.items():
        rngs = (np.random.default_rng([number, list(KINDS).index(kind)]) for number in range(n))
        copied = [(change(sound, rate, rng), rate) for (sound, rate), rng in zip(read, rngs, strict=True)]
        both = originals + windows_of(explainer, copied)
        started = time.monotonic()
        found = set(copies_in(both))
        seconds = time.monotonic() - started
        alone = by_embedding(both, planted, apart, folds != 5)
        cells = []
        for pairs in (found, alone):
            for chosen in (folds == 5, folds > 0):
                precision, recall, neither = score(pairs, planted, apart, chosen)
                cells.append(f"{precision:9.3f} {recall:6.3f}")
        neither = score(found, planted, apart, folds > 0)[2]
        print(f"{kind:6} {seconds:5.1f}   " + "   ".join(cells) + f"   {neither:7d}", flush=True)
        for a, b in sorted(found - planted - apart):
            print(f"    wrong: {recordings[a % n].path} and {recordings[b % n].path}")
        for a, _ in sorted(planted - found):
            print(f"    missed: {recordings[a].path}")


def _apart(recordings: list[Recording], own: Pairs) -> Pairs:
    """Pairs of originals and copies that are neither right nor wrong: of one source, or copies in ESC-10 itself."""
    n = len(recordings)
    same: Pairs = {
        (a, b)
        for a in range(n)
        for b in range(n)
        if recordings[a].source == recordings[b].source or (min(a, b), max(a, b)) in own
    }
    return {(min(x, y), max(x, y)) for a, b in same for x in (a, a + n) for y in (b, b + n) if x != y}
