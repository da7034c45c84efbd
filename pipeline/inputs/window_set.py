"""Audio decoded once: every window of an input, on disk as 16-bit samples, with its label."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.audio.decoder_process import DecoderProcess
from pipeline.audio.pcm import from_pcm, to_pcm
from pipeline.inputs.clip_windows import ClipError, clip_windows
from pipeline.inputs.file_reader import unread_recording
from pipeline.inputs.label_table import ground_truth, load_labels
from pipeline.inputs.labels import GroundTruth, LabelledSegment
from pipeline.inputs.listing import list_input
from pipeline.inputs.readers import read_shard
from pipeline.inputs.recording import RawRecording, ReadFault
from pipeline.inputs.selection import Selection, is_selected, selected
from pipeline.inputs.shards import Shard, unused_name
from pipeline.storage.filesystem import display_url
from schemas.errors import LmacError
from schemas.explainer_config import FrontEndConfig
from schemas.input_config import InputConfig
from schemas.run_config import DecodingConfig

WINDOWS_FILE = "windows.i16"


class TrainingDataError(LmacError):
    """The data cannot be used: no recording can be decoded, one has no label, or its class is unknown."""


@dataclass(frozen=True)
class WindowSet:
    """Windows `[N, n]` of recordings, kept as int16 on disk and read by number.

    `recording_index` `[N]` is the number of each window's recording, from 0, and a segment counts as a recording;
    `keys`, `labels` and `metadata` have an entry for each recording, which may have several labels or none. `classes`
    are the labels in the order of their numbers; `skipped` counts the recordings that could not be used; `about` says
    how many have labels, where not each has one. `files` names each recording's file, by default its key, as segments
    of one file share it; `rows` `[N]` are the windows' rows in `samples`, by default all.
    """

    samples: np.ndarray
    recording_index: np.ndarray
    keys: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    metadata: tuple[dict[str, Any], ...]
    classes: tuple[str, ...]
    skipped: int = 0
    about: str = ""
    files: tuple[str, ...] = ()
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.recording_index)

    def pcm(self, indices: Tensor) -> NDArray[np.int16]:
        """Windows `[B, n]` as 16-bit integers."""
        return self._samples(indices.numpy())

    def waveforms(self, indices: Tensor) -> Tensor:
        """Windows `[B, n]` as float in [-1, 1]."""
        return torch.from_numpy(from_pcm(self.pcm(indices)))

    def targets_of(self, indices: Tensor) -> Tensor:
        """Shares `[B, C]` of the classes in windows, in the order of `classes`; several labels have equal ones.

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
        """The windows of the recordings that are selected; raises SelectionError when there are none."""
        return self.recordings(selected(self.metadata, selection))

    def recordings(self, chosen: Sequence[int]) -> WindowSet:
        """The windows of these recordings only."""
        renumber = {recording: number for number, recording in enumerate(chosen)}
        kept = np.array(
            [row for row, recording in enumerate(self.recording_index) if recording in renumber], dtype=np.int64
        )
        # The samples stay on disk, as they may be more than fits in memory.
        return replace(
            self,
            rows=kept if self.rows is None else self.rows[kept],
            recording_index=np.array([renumber[self.recording_index[row]] for row in kept]),
            keys=tuple(self.keys[recording] for recording in chosen),
            files=tuple(self.files[recording] for recording in chosen) if self.files else (),
            labels=tuple(self.labels[recording] for recording in chosen),
            metadata=tuple(self.metadata[recording] for recording in chosen),
        )

    def digest(self) -> str:
        """SHA-256 of samples, recordings and labels: two sets of one digest hold the same data."""
        words = [self.keys, self.labels, self.classes, self.recording_index.tolist()]
        digest = hashlib.sha256(json.dumps(words).encode())
        for start in range(0, len(self), 256):
            digest.update(self._samples(np.arange(start, min(start + 256, len(self)))).tobytes())
        return digest.hexdigest()

    def _samples(self, windows: np.ndarray) -> np.ndarray:
        return np.asarray(self.samples[windows if self.rows is None else self.rows[windows]])


def load_windows(
    url: str,
    front_end: FrontEndConfig,
    scratch: Path,
    *,
    reading: InputConfig = InputConfig(),
    classes: Sequence[str] | None = None,
    need_labels: bool = False,
    labels_used: bool = True,
    selections: Sequence[Selection] = (),
    on_skip: Callable[[str, str], None] = lambda key, reason: None,
) -> WindowSet:
    """Decode an input (anything `explain` takes) into windows, kept in the folder `scratch`.

    `reading` says where labels come from; where they are not `labels_used`, its table serves to select alone. With
    `selections` only the recordings of one or more of them are decoded and returned, with `need_labels` only those that
    have a label. A recording that cannot be decoded is left out and reported to `on_skip` with its key and the reason.
    After whole windows, an end of less than half a window is left out. `classes` fixes the classes and their order; by
    default they are the labels of all recordings, selected or not, sorted.

    Raises TrainingDataError when nothing can be decoded or, with `need_labels`, when no recording has a label, or one
    (selected or not) has a label that is not in `classes`; SelectionError when a selection leaves nothing; InputError
    when `url` or the table of labels cannot be read, or is about other recordings.
    """
    table = load_labels(reading, needed=labels_used)
    listing = list_input(url, reading)
    truth = ground_truth(listing, reading, table)
    n = front_end.window_samples
    scratch.mkdir(parents=True, exist_ok=True)
    found = _Found()

    def wanted(segments: Sequence[LabelledSegment]) -> bool:
        return any(_is_wanted(segment.metadata, selections) for segment in segments)

    path = scratch / WINDOWS_FILE
    with path.open("wb") as file, DecoderProcess() as decoder:
        for shard in listing.shards:
            for recording in _read(listing.root_url, shard, truth, wanted):
                if isinstance(recording, ReadFault):
                    found.skipped += len(truth.lost(recording))
                    on_skip(recording.key, recording.message)
                    continue
                segments = truth.segments_of(recording)
                chosen_here = {
                    segment.clip_id
                    for segment in segments
                    if _is_wanted(segment.metadata, selections) and (segment.labels or not need_labels)
                }
                numbers: dict[str, int] = {}
                by_clip = {segment.clip_id: segment for segment in segments}
                if chosen_here:
                    decoded = clip_windows(truth.annotated(recording), front_end, DecodingConfig(), decoder.stream)
                    for item in decoded:
                        if isinstance(item, ClipError):
                            # What can be heard of a damaged recording is learnt from.
                            found.skipped += not item.heard_s
                            numbers.setdefault(item.clip_id, -1)
                            on_skip(recording.key, item.message)
                        elif item.clip_id in chosen_here:
                            if item.clip_id not in numbers:
                                numbers[item.clip_id] = found.add(shard.uri, recording.key, by_clip[item.clip_id])
                            file.write(to_pcm(item.samples).astype("<i2").tobytes())
                            found.recording_index.append(numbers[item.clip_id])
                for segment in segments:
                    if not segment.labels and need_labels:
                        found.unlabelled.append(recording.key)
                        found.columns.update(segment.metadata)
                    elif segment.clip_id not in numbers:
                        found.add(shard.uri, recording.key, segment)
    if not found.keys and not found.unlabelled:
        raise TrainingDataError(f"none of the {found.skipped} recordings of {display_url(url)} could be decoded")
    if need_labels:
        _check_labels(found, classes)
    several = {label for labels in found.labels for label in labels}
    names = tuple(classes) if classes else tuple(sorted(several))
    chosen = sorted({recording for selection in selections for recording in selected(found.metadata, selection)})
    samples = np.memmap(path, dtype="<i2", mode="r", shape=(len(found.recording_index), n))
    windows_found = WindowSet(
        samples,
        np.array(found.recording_index),
        tuple(found.keys),
        tuple(found.labels),
        tuple(found.metadata),
        names,
        found.skipped,
        found.describe(table is not None),
        tuple(found.files),
    )
    return windows_found.recordings(chosen) if selections else windows_found


@dataclass
class _Found:
    """What is gathered of the recordings, one after the other; keys are unique, as two tars may have the same."""

    keys: dict[str, None] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    labels: list[tuple[str, ...]] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    recording_index: list[int] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)
    skipped: int = 0

    def add(self, shard_uri: str, key: str, segment: LabelledSegment) -> int:
        """Add a recording, or a segment of one, and return its number."""
        stop = "" if segment.stop_s is None else f"{segment.stop_s:g}"
        name = key if (segment.start_s, segment.stop_s) == (0, None) else f"{key}@{segment.start_s:g}-{stop}"
        self.keys[name if name not in self.keys else unused_name(f"{shard_uri}:{name}", self.keys)] = None
        self.files.append(f"{shard_uri}:{key}")
        self.labels.append(segment.labels)
        self.metadata.append(segment.metadata)
        return len(self.labels) - 1

    def describe(self, by_table: bool) -> str:
        """Return in words how many recordings have no label or several; empty where each has one."""
        total = len(self.keys) + len(self.unlabelled)
        labelled = sum(bool(labels) for labels in self.labels)
        several = sum(len(labels) > 1 for labels in self.labels)
        words = [f"{labelled} of {total} recordings have a label"] if labelled < total or by_table else []
        if several:
            words.append(f"{several} have several, each in equal shares")
        return "; ".join(words)


def _is_wanted(metadata: Mapping[str, Any], selections: Sequence[Selection]) -> bool:
    return not selections or any(is_selected(metadata, selection) for selection in selections)


def _read(
    root_url: str, shard: Shard, truth: GroundTruth, wanted: Callable[[Sequence[LabelledSegment]], bool]
) -> Iterator[RawRecording | ReadFault]:
    """A shard's recordings and faults in order; a loose file that is not wanted is not read, and comes without data."""
    unread = {}
    for entry in shard.entries:
        # A sidecar's metadata is known only once it is read.
        if not entry.sidecars and not wanted(truth.segments_of(recording := unread_recording(entry))):
            unread[entry.place] = recording
    entries = tuple(entry for entry in shard.entries if entry.place not in unread)
    read = read_shard(root_url, replace(shard, entries=entries)) if entries or shard.kind != "files" else iter(())
    for entry in shard.entries:
        yield unread[entry.place] if entry.place in unread else next(read)
    # Tars and tables have no entries.
    yield from read


def _check_labels(found: _Found, classes: Sequence[str] | None) -> None:
    labels = {label for labels in found.labels for label in labels}
    if not labels:
        keys = [*found.unlabelled, *found.keys]
        raise TrainingDataError(
            f"{len(keys)} of {len(keys)} recordings have no label, {keys[0]!r} for one: give a table of labels, JSON "
            "sidecars with a 'label', or put the recordings in folders named by class"
            + (
                f"; there are these columns for --label-column: {', '.join(sorted(found.columns))}"
                * bool(found.columns)
            )
        )
    unknown = sorted(labels - set(classes)) if classes else []
    if unknown:
        raise TrainingDataError(f"the classifier has no class for these labels: {', '.join(unknown)}")
    if classes is None and len(labels) < 2:
        raise TrainingDataError(
            f"a classifier needs two classes or more, and all {len(found.keys)} recordings are labelled {min(labels)!r}"
        )
