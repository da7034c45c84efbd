"""Audio decoded once for training: every window of an input, on disk as 16-bit samples, with its label."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.audio.decode import AudioFault, decode
from pipeline.audio.pcm import to_pcm
from pipeline.audio.windows import cut_windows, take_window
from pipeline.inputs.labels import LabelTable, check_coverage, label_of
from pipeline.inputs.listing import list_input
from pipeline.inputs.readers import read_shard
from pipeline.inputs.recording import RawRecording, ReadFault
from pipeline.inputs.shards import Entry, Shard
from schemas.errors import LmacError
from schemas.explainer_config import FrontEndConfig

Selection = Mapping[str, Sequence[str]]


class TrainingDataError(LmacError):
    """The data cannot be trained on: no recording left, no label, a class that is unknown."""


@dataclass(frozen=True)
class WindowSet:
    """Windows `[N, n]` of recordings, kept as int16 on disk and read by number.

    `recording_index` `[N]` numbers the recording of each window from 0; `keys` name the recordings, each once; `labels`
    holds one per recording, or None; `rows` `[N]` says where in `samples` the windows lie, None for one after the
    other.
    """

    samples: np.ndarray
    recording_index: np.ndarray
    keys: tuple[str, ...]
    labels: tuple[str | None, ...]
    metadata: tuple[dict[str, Any], ...]
    classes: tuple[str, ...]
    skipped: int = 0
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.recording_index)

    def waveforms(self, indices: Tensor) -> Tensor:
        """Windows `[B, n]` as float in [-1, 1]."""
        return torch.from_numpy(self._samples(indices.numpy()).astype(np.float32) / 32768)

    def labels_of(self, indices: Tensor) -> Tensor:
        """Class numbers `[B]` of windows, in the order of `classes`."""
        names = [self.labels[recording] for recording in self.recording_index[indices.numpy()]]
        return torch.tensor([self.classes.index(name) if name is not None else -1 for name in names])

    def where(self, selection: Selection) -> WindowSet:
        """The windows of recordings whose metadata has, for every column of the selection, one of its values.

        Raises TrainingDataError when no recording is left.
        """
        return self.recordings(_chosen(self.metadata, selection))

    def recordings(self, chosen: Sequence[int]) -> WindowSet:
        """The windows of these recordings only."""
        renumber = {recording: number for number, recording in enumerate(chosen)}
        kept = np.array(
            [row for row, recording in enumerate(self.recording_index) if recording in renumber], dtype=np.int64
        )
        return WindowSet(
            # The samples stay on disk, as they may be more than fits in memory.
            samples=self.samples,
            rows=kept if self.rows is None else self.rows[kept],
            recording_index=np.array([renumber[self.recording_index[row]] for row in kept]),
            keys=tuple(self.keys[recording] for recording in chosen),
            labels=tuple(self.labels[recording] for recording in chosen),
            metadata=tuple(self.metadata[recording] for recording in chosen),
            classes=self.classes,
            skipped=self.skipped,
        )

    def digest(self) -> str:
        """SHA-256 of samples and labels: the data's part of a training's fingerprint."""
        words = [self.keys, self.labels, self.classes, self.recording_index.tolist()]
        digest = hashlib.sha256(json.dumps(words).encode())
        for start in range(0, len(self), 256):
            digest.update(self._samples(np.arange(start, min(start + 256, len(self)))).tobytes())
        return digest.hexdigest()

    def _samples(self, windows: np.ndarray) -> np.ndarray:
        return np.asarray(self.samples[windows if self.rows is None else self.rows[windows]])


def describe(selection: Selection) -> str:
    """A selection for people: `fold is 1, 2 or 3`."""
    return " and ".join(f"{column} is one of {', '.join(values)}" for column, values in selection.items())


def load_windows(
    url: str,
    front_end: FrontEndConfig,
    scratch: Path,
    *,
    labels: LabelTable | None = None,
    label_column: str | None = None,
    classes: Sequence[str] | None = None,
    need_labels: bool = False,
    selections: Sequence[Selection] = (),
    on_skip: Callable[[str, str], None] = lambda key, reason: None,
) -> WindowSet:
    """Decode an input (anything `explain` takes) into windows, kept in the folder `scratch`.

    With `selections` only the recordings that are in one of them are decoded and returned. A recording that cannot be
    decoded is reported to `on_skip` and left out; so is, silently, an end of less than half a window after whole ones.
    `classes` fixes the classes and their order; by default they are the labels of all recordings, selected or not,
    sorted.

    Raises TrainingDataError when nothing could be decoded, a selection leaves nothing, a label is missing where one is
    needed (of any recording), or is not one of `classes`; InputError when the input is not one.
    """
    listing = list_input(url)
    n = front_end.window_samples
    scratch.mkdir(parents=True, exist_ok=True)
    keys: dict[str, None] = {}
    found: list[str | None] = []
    rows: list[dict[str, Any]] = []
    recording_index: list[int] = []
    skipped = 0

    def metadata_of(recording: RawRecording | Entry) -> dict[str, Any]:
        return {**recording.metadata, **(labels.metadata_of(recording.key) if labels else {})}

    def wanted(recording: RawRecording | Entry) -> bool:
        return not selections or any(_is_in(selection, metadata_of(recording)) for selection in selections)

    path = scratch / "windows.i16"
    with path.open("wb") as file:
        for shard in listing.shards:
            for recording in _read(listing.root_url, shard, wanted):
                if isinstance(recording, ReadFault):
                    skipped += 1
                    on_skip(recording.key, recording.message)
                    continue
                if isinstance(recording, RawRecording) and wanted(recording):
                    try:
                        decoded = decode(recording.data, recording.name, front_end.sample_rate)
                    except AudioFault as fault:
                        skipped += 1
                        on_skip(recording.key, fault.message)
                        continue
                    for span in cut_windows(len(decoded.waveform), n, min_tail=n // 2):
                        window = take_window(decoded.waveform, span, n)
                        file.write(to_pcm(window).astype("<i2").tobytes())
                        recording_index.append(len(keys))
                # Tars may use the same keys; a name for a recording must be its own.
                keys[recording.key if recording.key not in keys else f"{shard.uri}:{recording.key}"] = None
                # A recording that the table forgot is not of the class that its folder happens to be named.
                forgotten = labels is not None and labels.lookup(recording.key) is None
                metadata = metadata_of(recording)
                found.append(None if forgotten else label_of(metadata, recording.key, label_column, labels))
                rows.append(metadata)
    if not keys:
        raise TrainingDataError(f"none of the {skipped} recordings of {url} could be decoded")
    if labels is not None:
        check_coverage(labels, keys)
    if need_labels:
        _check_labels(list(keys), found, classes)
    names = tuple(classes) if classes else tuple(sorted({label for label in found if label is not None}))
    chosen = sorted({recording for selection in selections for recording in _chosen(rows, selection)})
    samples = np.memmap(path, dtype="<i2", mode="r", shape=(len(recording_index), n))
    windows = WindowSet(samples, np.array(recording_index), tuple(keys), tuple(found), tuple(rows), names, skipped)
    return windows.recordings(chosen) if selections else windows


def _read(root_url: str, shard: Shard, wanted: Callable[[Entry], bool]) -> Iterator[RawRecording | ReadFault | Entry]:
    """A shard's recordings and faults in order; for a loose file that is not wanted, its entry."""
    # What a sidecar says is known only once it is read.
    unread = [entry.sidecar is None and not wanted(entry) for entry in shard.entries]
    entries = tuple(entry for entry, left in zip(shard.entries, unread, strict=True) if not left)
    read = read_shard(root_url, replace(shard, entries=entries))
    for entry, left in zip(shard.entries, unread, strict=True):
        yield entry if left else next(read)
    # Tars and tables have no entries.
    yield from read


def _is_in(selection: Selection, row: Mapping[str, Any]) -> bool:
    return all(str(row.get(column)) in values for column, values in selection.items())


def _chosen(rows: Sequence[Mapping[str, Any]], selection: Selection) -> list[int]:
    for column in selection:
        if not any(column in row for row in rows):
            known = sorted({name for row in rows for name in row})
            raise TrainingDataError(f"no recording has a column {column!r} to select by; there are: {known}")
    chosen = [recording for recording, row in enumerate(rows) if _is_in(selection, row)]
    if not chosen:
        raise TrainingDataError(f"no recording is left of {len(rows)} where {describe(selection)}")
    return chosen


def _check_labels(keys: Sequence[str], labels: Sequence[str | None], classes: Sequence[str] | None) -> None:
    missing = [key for key, label in zip(keys, labels, strict=True) if label is None]
    if missing:
        raise TrainingDataError(
            f"{len(missing)} of {len(keys)} recordings have no label, {missing[0]!r} for one: give a CSV with "
            "--labels, JSON sidecars with a 'label', or put the recordings in folders named by class"
        )
    unknown = sorted({str(label) for label in labels} - set(classes)) if classes else []
    if unknown:
        raise TrainingDataError(f"these labels are none of the classifier's classes: {', '.join(unknown)}")
    if classes is None and len(set(labels)) < 2:
        raise TrainingDataError(f"a classifier needs two classes or more, all {len(keys)} recordings are {labels[0]!r}")
