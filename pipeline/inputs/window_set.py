"""Audio decoded once: every window of an input, on disk as 16-bit samples, with its label."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.audio.decoder_process import DecoderProcess
from pipeline.audio.pcm import from_pcm, to_pcm
from pipeline.inputs.clip_windows import ClipError, clip_windows
from pipeline.inputs.labels import LabelTable, check_coverage, label_of
from pipeline.inputs.listing import list_input
from pipeline.inputs.readers import read_shard
from pipeline.inputs.recording import RawRecording, ReadFault
from pipeline.inputs.selection import Selection, is_selected, selected
from pipeline.inputs.shards import Entry, Shard
from pipeline.storage.filesystem import display_url
from schemas.errors import LmacError
from schemas.explainer_config import FrontEndConfig
from schemas.run_config import DecodingConfig

WINDOWS_FILE = "windows.i16"


class TrainingDataError(LmacError):
    """The data cannot be used: no recording can be decoded, one has no label, or its class is unknown."""


@dataclass(frozen=True)
class WindowSet:
    """Windows `[N, n]` of recordings, kept as int16 on disk and read by number.

    `recording_index` `[N]` is the number of each window's recording, from 0; `keys`, `labels` and `metadata` have an
    entry for each recording, and a label may be None; `classes` are the labels in the order of their numbers; `skipped`
    counts the recordings that could not be used; `rows` `[N]` are the windows' rows in `samples`, by default all.
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
        return torch.from_numpy(from_pcm(self._samples(indices.numpy())))

    def labels_of(self, indices: Tensor) -> Tensor:
        """Class numbers `[B]` of windows, in the order of `classes`; -1 without a label."""
        names = [self.labels[recording] for recording in self.recording_index[indices.numpy()]]
        return torch.tensor([self.classes.index(name) if name is not None else -1 for name in names])

    def where(self, selection: Selection) -> WindowSet:
        """The windows of the recordings that are selected; raises SelectionError when there are none."""
        return self.recordings(selected(self.metadata, selection))

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
    labels: LabelTable | None = None,
    label_column: str | None = None,
    classes: Sequence[str] | None = None,
    need_labels: bool = False,
    selections: Sequence[Selection] = (),
    on_skip: Callable[[str, str], None] = lambda key, reason: None,
) -> WindowSet:
    """Decode an input (anything `explain` takes) into windows, kept in the folder `scratch`.

    With `selections` only the recordings of one or more of them are decoded and returned. A recording that cannot be
    decoded is left out and reported to `on_skip` with its key and the reason. After whole windows, an end of less than
    half a window is left out. `classes` fixes the classes and their order; by default they are the labels of all
    recordings, selected or not, sorted.

    Raises TrainingDataError when nothing can be decoded or, with `need_labels`, when a recording (selected or not) has
    no label or one that is not in `classes`; SelectionError when a selection leaves nothing; InputError when `url`
    cannot be read as an input.
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
        return not selections or any(is_selected(metadata_of(recording), selection) for selection in selections)

    def keep(shard: Shard, recording: RawRecording | Entry, of_clip: dict[str, Any], key: str) -> None:
        # Two tars may use the same key, and keys must be unique here.
        keys[key if key not in keys else f"{shard.uri}:{key}"] = None
        # Where a table of labels is given, a folder's name is no label for what the table leaves out.
        unlisted = labels is not None and labels.lookup(recording.key) is None
        metadata = {**metadata_of(recording), **of_clip}
        found.append(None if unlisted else label_of(metadata, recording.key, label_column, labels))
        rows.append(metadata)

    path = scratch / WINDOWS_FILE
    with path.open("wb") as file, DecoderProcess() as decoder:
        for shard in listing.shards:
            for recording in _read(listing.root_url, shard, wanted):
                if isinstance(recording, ReadFault):
                    skipped += 1
                    on_skip(recording.key, recording.message)
                    continue
                if isinstance(recording, Entry) or not wanted(recording):
                    keep(shard, recording, {}, recording.key)
                    continue
                clips: dict[str, int] = {}
                for item in clip_windows(recording, front_end, DecodingConfig(), decoder.stream):
                    if isinstance(item, ClipError):
                        # What can be heard of a damaged recording is learnt from.
                        skipped += not item.heard_s
                        on_skip(recording.key, item.message)
                        continue
                    if item.clip_id not in clips:
                        clips[item.clip_id] = len(keys)
                        segment = f" from {item.start_s:g} s" if recording.segments else ""
                        keep(shard, recording, item.metadata, f"{recording.key}{segment}")
                    file.write(to_pcm(item.samples).astype("<i2").tobytes())
                    recording_index.append(clips[item.clip_id])
    if not keys:
        raise TrainingDataError(f"none of the {skipped} recordings of {display_url(url)} could be decoded")
    if labels is not None:
        check_coverage(labels, keys)
    if need_labels:
        _check_labels(list(keys), found, classes)
    names = tuple(classes) if classes else tuple(sorted({label for label in found if label is not None}))
    chosen = sorted({recording for selection in selections for recording in selected(rows, selection)})
    samples = np.memmap(path, dtype="<i2", mode="r", shape=(len(recording_index), n))
    windows = WindowSet(samples, np.array(recording_index), tuple(keys), tuple(found), tuple(rows), names, skipped)
    return windows.recordings(chosen) if selections else windows


def _read(root_url: str, shard: Shard, wanted: Callable[[Entry], bool]) -> Iterator[RawRecording | ReadFault | Entry]:
    """A shard's recordings and faults in order; a loose file that is not wanted is not read, and yields its entry."""
    # A sidecar's metadata is known only once it is read.
    unread = [entry.sidecar is None and not wanted(entry) for entry in shard.entries]
    entries = tuple(entry for entry, left in zip(shard.entries, unread, strict=True) if not left)
    read = read_shard(root_url, replace(shard, entries=entries))
    for entry, left in zip(shard.entries, unread, strict=True):
        yield entry if left else next(read)
    # Tars and tables have no entries.
    yield from read


def _check_labels(keys: Sequence[str], labels: Sequence[str | None], classes: Sequence[str] | None) -> None:
    missing = [key for key, label in zip(keys, labels, strict=True) if label is None]
    if missing:
        raise TrainingDataError(
            f"{len(missing)} of {len(keys)} recordings have no label, {missing[0]!r} for one: give a table of labels, "
            "JSON sidecars with a 'label', or put the recordings in folders named by class"
        )
    unknown = sorted({str(label) for label in labels} - set(classes)) if classes else []
    if unknown:
        raise TrainingDataError(f"the classifier has no class for these labels: {', '.join(unknown)}")
    if classes is None and len(set(labels)) < 2:
        raise TrainingDataError(
            f"a classifier needs two classes or more, and all {len(keys)} recordings are labelled {labels[0]!r}"
        )
