"""Explain many windows batch by batch, copying neighbouring batches while the device computes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pipeline.audio.pcm import to_pcm_tensor
from pipeline.lmac.explainer import Explainer
from pipeline.lmac.passes import MaskKind, Passes
from pipeline.lmac.scores import AUDIO
from pipeline.lmac.transfer import Download, Transfer, Upload
from pipeline.trace import span
from schemas.run_config import SIDES, Side
from schemas.targets import Targets


@dataclass(frozen=True)
class Wanted:
    """What to explain for each of W windows, and which results to keep.

    `targets`, `mask` and `refine` are as in `Explainer.explain_windows`. `masks`, `listenables` and `audio_scores` are
    bools `[W]`: windows whose masks to keep, whose listenables to keep (of the given `sides`), and whose listenables
    to classify again.
    """

    targets: Targets
    mask: MaskKind
    refine: int
    sides: tuple[Side, ...]
    masks: np.ndarray
    listenables: np.ndarray
    audio_scores: np.ndarray


@dataclass
class ExplainedWindows:
    """Results for W windows with K targets each; arrays are on the CPU.

    For all windows: `target_index` `[W, K]`, `probabilities` `[W, C]`, `embedding` `[W, D]`; `scores` `[W, K]` by
    name, where scores of the written audio are NaN if it was not classified; and sums of the masks in 255ths over
    frames, `by_freq` `[W, K, F]`, and over bins, `by_frame` `[W, K, T]`. Only for the wanted windows, in order: `mask`
    `[M, K, F, T]` uint8; by side `listenables` `[L, K, n]` int16 and `gain_db` `[L, K]`.
    """

    target_index: np.ndarray
    probabilities: np.ndarray
    embedding: np.ndarray
    by_freq: np.ndarray
    by_frame: np.ndarray
    mask: np.ndarray
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    listenables: dict[Side, np.ndarray] = field(default_factory=dict)
    gain_db: dict[Side, np.ndarray] = field(default_factory=dict)


def explain_batches(
    explainer: Explainer, waveforms: np.ndarray, lengths: np.ndarray, wanted: Wanted, batch_size: int
) -> ExplainedWindows:
    """Explain windows `[W, n]`, W >= 1, `batch_size` at a time; the first `lengths` `[W]` samples of each are sound.

    The last batch is filled up with silence, so that all batches have one size and no window's result depends on the
    number of windows. Raises torch.OutOfMemoryError if a batch does not fit into the device's memory.
    """
    return _Batches(explainer, wanted, batch_size).run(waveforms, lengths)


class _Batches:
    """One call of `explain_batches`: what is in flight on the device, and what has come back."""

    def __init__(self, explainer: Explainer, wanted: Wanted, batch_size: int) -> None:
        self.explainer, self.passes, self.wanted, self.size = explainer, explainer.passes, wanted, batch_size
        self.transfer = Transfer(explainer.device)
        self.in_flight: list[Download] = []
        self.columns: dict[str, list[Tensor]] = {}
        self.queue = _AudioQueue(explainer.passes, batch_size)

    def run(self, waveforms: np.ndarray, lengths: np.ndarray) -> ExplainedWindows:
        n, count = len(waveforms), self.wanted.targets.count(self.explainer.config.labels)
        firsts = range(0, n, self.size)
        coming = self._upload(waveforms, lengths, 0)
        for first in firsts:
            samples, stops = (upload.tensor() for upload in coming)
            self._explain(first, min(self.size, n - first), samples, stops)
            # While the device computes this batch, upload the next one and collect the results of the previous one.
            if first + self.size < n:
                coming = self._upload(waveforms, lengths, first + self.size)
            self._collect(1 + 2 * count)
        self._download(self.queue.take(rest=True))
        self._collect(0)
        return self._result(n, count)

    def _upload(self, waveforms: np.ndarray, lengths: np.ndarray, first: int) -> tuple[Upload, Upload]:
        here = slice(first, first + self.size)
        with span("upload"):
            return self.transfer.upload(waveforms[here], self.size), self.transfer.upload(lengths[here], self.size)

    def _explain(self, first: int, n: int, waveforms: Tensor, stops: Tensor) -> None:
        wanted, passes = self.wanted, self.passes
        windows = passes.classify(waveforms, stops, wanted.targets)
        self._download(
            {
                "target_index": windows.targets[:n],
                "probabilities": windows.probabilities[:n],
                "embedding": windows.first.output.embedding[:n],
            }
        )
        here = slice(first, first + n)
        keep, sound_of, again = wanted.masks[here], wanted.listenables[here], wanted.audio_scores[here]
        for place in range(windows.targets.shape[1]):
            masked = passes.mask(windows, place, wanted.mask, wanted.refine)
            made = {f"scores/{name}": values[:n] for name, values in masked.scores.items()}
            made["by_freq"] = masked.levels[:n].sum(dim=2, dtype=torch.int64)
            made["by_frame"] = masked.levels[:n].sum(dim=1, dtype=torch.int64)
            made["mask"] = self._rows(masked.levels[:n], keep)
            if again.any() or (sound_of.any() and wanted.sides):
                sound, gain_db = passes.listenables(windows, masked)
                for side, samples, gain in zip(SIDES, sound.chunk(2), gain_db.chunk(2), strict=True):
                    if side in wanted.sides and sound_of.any():
                        made[f"listenables/{side}"] = to_pcm_tensor(self._rows(samples[:n], sound_of))
                        made[f"gain_db/{side}"] = self._rows(gain[:n], sound_of)
                if again.any():
                    inside, outside = (self._rows(samples[:n], again) for samples in sound.chunk(2))
                    of_window = self._rows(windows.probabilities[:n], again), self._rows(masked.target[:n], again)
                    self.queue.put(inside, outside, *of_window)
            self._download(made)
            self._download(self.queue.take())

    def _rows(self, values: Tensor, chosen: np.ndarray) -> Tensor:
        """Return the chosen rows of `values` `[n, ...]` without synchronising with the device to count them."""
        if chosen.all():
            return values
        return values[self.transfer.upload(np.flatnonzero(chosen)).tensor()]

    def _download(self, values: dict[str, Tensor]) -> None:
        if values:
            self.in_flight.append(self.transfer.download(values))

    def _collect(self, still_in_flight: int) -> None:
        """Collect finished downloads, except the last few, which may still be in flight."""
        while len(self.in_flight) > still_in_flight:
            with span("copy"):
                arrived = self.in_flight.pop(0).tensors()
            for name, values in arrived.items():
                self.columns.setdefault(name, []).append(values)

    def _result(self, n: int, count: int) -> ExplainedWindows:
        wanted, columns = self.wanted, self.columns
        every = np.ones(n, np.bool_)

        def by_target(name: str, chosen: np.ndarray) -> np.ndarray:
            """Join batches `[b, ...]`, which alternate between targets, to `[rows, K, ...]` in window order."""
            batches = columns.pop(name)
            rows = [torch.cat(batches[place::count]) for place in range(count)]
            assert len(rows[0]) == chosen.sum(), f"{name}: {len(rows[0])} rows for {chosen.sum()} windows"
            return (torch.stack(rows, dim=1) if count > 1 else rows[0][:, None]).numpy()

        scores = {
            name.removeprefix("scores/"): by_target(name, every)
            for name in [name for name in columns if name.startswith("scores/")]
        }
        if wanted.audio_scores.any():
            order = self._audio_order(n, count)
            for name in [name for name in columns if name.startswith("audio/")]:
                values = np.full((n, count), np.nan, np.float32)
                values[order] = torch.cat(columns.pop(name)).numpy()
                scores[name.removeprefix("audio/")] = values
        else:
            scores |= {f"{name}_audio": np.full((n, count), np.nan, np.float32) for name in AUDIO}
        sides = wanted.sides if wanted.listenables.any() else ()
        return ExplainedWindows(
            target_index=torch.cat(columns.pop("target_index")).numpy(),
            probabilities=torch.cat(columns.pop("probabilities")).numpy(),
            embedding=torch.cat(columns.pop("embedding")).numpy(),
            by_freq=by_target("by_freq", every),
            by_frame=by_target("by_frame", every),
            mask=by_target("mask", wanted.masks),
            scores=scores,
            listenables={side: by_target(f"listenables/{side}", wanted.listenables) for side in sides},
            gain_db={side: by_target(f"gain_db/{side}", wanted.listenables) for side in sides},
        )

    def _audio_order(self, n: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return window and target of each row scored by the queue: ordered by batch, then by target."""
        windows, places = [], []
        for first in range(0, n, self.size):
            there = first + np.flatnonzero(self.wanted.audio_scores[first : first + self.size])
            for place in range(count):
                windows.append(there)
                places.append(np.full(len(there), place))
        return np.concatenate(windows), np.concatenate(places)


class _AudioQueue:
    """Listenables that wait to be classified again until they fill a batch."""

    def __init__(self, passes: Passes, size: int) -> None:
        self.passes, self.size = passes, size
        self.waiting: list[tuple[Tensor, ...]] = []
        self.rows = 0

    def put(self, *rows: Tensor) -> None:
        """Add masked-in and masked-out waveforms `[r, n]`, probabilities `[r, C]` and targets `[r]` of windows."""
        self.waiting.append(rows)
        self.rows += len(rows[0])

    def take(self, rest: bool = False) -> dict[str, Tensor]:
        """Score one full batch, `[b]` by name; empty if none is full, but `rest` fills it up with silence."""
        if not self.rows or (self.rows < self.size and not rest):
            return {}
        rows = [torch.cat(parts) for parts in zip(*self.waiting, strict=True)]
        n, missing = min(self.rows, self.size), max(self.size - self.rows, 0)
        self.waiting, self.rows = [tuple(part[n:] for part in rows)], self.rows - n
        inside, outside, probabilities, target = (
            torch.cat([part[:n], part.new_zeros(missing, *part.shape[1:])]) for part in rows
        )
        scores = self.passes.score_audio(probabilities, target, torch.cat([inside, outside]))
        return {f"audio/{name}": values[:n] for name, values in scores.items()}
