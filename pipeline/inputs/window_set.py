"""Windows of recordings, kept as 16-bit samples and read by number, with the recordings' labels and metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.audio.pcm import from_pcm
from pipeline.inputs.selection import Selection, selected
from pipeline.inputs.window_file import DIGEST_BYTES, MappedWindows
from schemas.errors import LmacError


class TrainingDataError(LmacError):
    """The data cannot be used: no recording can be decoded, one has no label, or its class is unknown."""


@dataclass(frozen=True)
class WindowSet:
    """Windows `[N, n]` of recordings, kept as int16 on disk and read by number.

    `recording_index` `[N]` is the number of each window's recording, from 0, and a segment counts as a recording;
    `keys`, `labels` and `metadata` have an entry for each recording, which may have several labels or none. `classes`
    are the labels in the order of their numbers; `skipped` counts the recordings that could not be used; `about` says
    how many have labels, if not each has one, and how many windows were drawn. `files` names each recording's file, by
    default its key, as segments of one file share it; `rows` `[N]` are the windows' rows in `samples`, by default all,
    and `digests` `[N, 16]` the digests of their samples, if known.
    """

    samples: NDArray[np.int16] | MappedWindows
    recording_index: np.ndarray
    keys: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    metadata: tuple[dict[str, Any], ...]
    classes: tuple[str, ...]
    skipped: int = 0
    about: str = ""
    files: tuple[str, ...] = ()
    rows: np.ndarray | None = None
    digests: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.recording_index)

    def pcm(self, indices: Tensor) -> NDArray[np.int16]:
        """Return windows `[B, n]` as 16-bit integers."""
        return self._samples(indices.numpy())

    def waveforms(self, indices: Tensor) -> Tensor:
        """Return windows `[B, n]` as float in [-1, 1]."""
        return torch.from_numpy(from_pcm(self.pcm(indices)))

    def targets_of(self, indices: Tensor) -> Tensor:
        """Return the shares `[B, C]` of the classes in windows, in the order of `classes`; equal for several labels.

        A window without a label has zeros.
        """
        number = {name: place for place, name in enumerate(self.classes)}
        targets = torch.zeros(len(indices), len(self.classes))
        for row, recording in enumerate(self.recording_index[indices.numpy()]):
            labels = self.labels[recording]
            for label in labels:
                targets[row, number[label]] = 1 / len(labels)
        return targets

    def where(self, selection: Selection) -> WindowSet:
        """Return the windows of the selected recordings; raises SelectionError when there are none."""
        return self.recordings(selected(self.metadata, selection))

    def recordings(self, chosen: Sequence[int]) -> WindowSet:
        """Return the windows of these recordings only."""
        number = np.full(len(self.keys), -1)
        number[np.asarray(chosen, np.int64)] = np.arange(len(chosen))
        kept = np.flatnonzero(number[self.recording_index] >= 0)
        # The samples stay on disk, as they may be more than fits in memory.
        return replace(
            self,
            rows=kept if self.rows is None else self.rows[kept],
            digests=None if self.digests is None else self.digests[kept],
            recording_index=number[self.recording_index[kept]],
            keys=tuple(self.keys[recording] for recording in chosen),
            files=tuple(self.files[recording] for recording in chosen) if self.files else (),
            labels=tuple(self.labels[recording] for recording in chosen),
            metadata=tuple(self.metadata[recording] for recording in chosen),
        )

    def digest(self) -> str:
        """Return the SHA-256 of samples, recordings and labels: two sets with one digest hold the same data."""
        digest = hashlib.sha256(json.dumps([self.keys, self.labels, self.classes]).encode())
        digest.update(self.recording_index.astype("<i8").tobytes())
        if self.digests is not None:
            digest.update(self.digests.tobytes())
            return digest.hexdigest()
        for window in range(len(self)):
            samples = self._samples(np.array([window])).astype("<i2").tobytes()
            digest.update(hashlib.blake2b(samples, digest_size=DIGEST_BYTES).digest())
        return digest.hexdigest()

    def _samples(self, windows: np.ndarray) -> np.ndarray:
        return np.asarray(self.samples[windows if self.rows is None else self.rows[windows]])
