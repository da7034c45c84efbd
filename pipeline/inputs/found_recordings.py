"""What is known about the recordings of an input, collected one after the other while their windows are decoded."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.inputs.labels import LabelledSegment
from pipeline.inputs.selection import Selection, is_selected, refuse_empty
from pipeline.inputs.shards import unused_name
from pipeline.inputs.window_set import TrainingDataError

_FORGET_EVERY = 4096


@dataclass
class FoundRecordings:
    """Recordings by number, and which of them `selections` ask for; a segment counts as a recording.

    Keys are made unique, as two tars may have the same one. Counts, label names and columns cover all recordings found,
    forgotten or not; `left_out` has keys and reasons.
    """

    selections: Sequence[Selection] = ()
    keys: dict[str, None] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    labels: list[tuple[str, ...]] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    skipped: int = 0
    unlabelled: int = 0
    first_unlabelled: str = ""
    label_names: set[str] = field(default_factory=set)
    columns: set[str] = field(default_factory=set)
    unlabelled_columns: set[str] = field(default_factory=set)
    total: int = 0
    _labelled: int = 0
    _several: int = 0
    _selected: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._selected = [0] * len(self.selections)

    def add(self, shard_uri: str, key: str, segment: LabelledSegment) -> int:
        """Add a recording, or a segment of one, and return its number."""
        stop = "" if segment.stop_s is None else f"{segment.stop_s:g}"
        name = key if (segment.start_s, segment.stop_s) == (0, None) else f"{key}@{segment.start_s:g}-{stop}"
        self.keys[name if name not in self.keys else unused_name(f"{shard_uri}:{name}", self.keys)] = None
        self.files.append(f"{shard_uri}:{key}")
        self.labels.append(segment.labels)
        self.metadata.append(segment.metadata)
        self.total += 1
        self._labelled += bool(segment.labels)
        self._several += len(segment.labels) > 1
        self.label_names.update(segment.labels)
        self.columns.update(segment.metadata)
        for number, selection in enumerate(self.selections):
            self._selected[number] += is_selected(segment.metadata, selection)
        return len(self.labels) - 1

    def leave_unlabelled(self, key: str, segment: LabelledSegment) -> None:
        """Count a recording that has no label where one is needed."""
        self.unlabelled += 1
        self.first_unlabelled = self.first_unlabelled or key
        self.unlabelled_columns.update(segment.metadata)

    def chosen(self) -> list[int]:
        """Return the numbers of the recordings in any selection; raises SelectionError when a selection is empty."""
        for selection, count in zip(self.selections, self._selected, strict=True):
            refuse_empty(selection, self.columns, count, self.total)
        return [
            number
            for number, row in enumerate(self.metadata)
            if any(is_selected(row, selection) for selection in self.selections)
        ]

    def forget_all_but(self, used: array[int]) -> None:
        """Forget the recordings whose numbers are not `used`, and renumber `used` in place, once there are enough.

        So there are never many more recordings than drawn windows.
        """
        if len(self.labels) < 2 * len(used) + _FORGET_EVERY:
            return
        kept, numbers = np.unique(np.array(used, np.int64), return_inverse=True)
        used[:] = array("q", numbers.astype(np.int64).tobytes())
        names = list(self.keys)
        self.keys = {names[number]: None for number in kept}
        self.files = [self.files[number] for number in kept]
        self.labels = [self.labels[number] for number in kept]
        self.metadata = [self.metadata[number] for number in kept]

    def describe(self, by_table: bool) -> str:
        """Return in words how many recordings have a label or several; empty if each has exactly one."""
        total = self.total + self.unlabelled
        words = [f"{self._labelled} of {total} recordings have a label"] if self._labelled < total or by_table else []
        if self._several:
            words.append(f"{self._several} have several, each in equal shares")
        return "; ".join(words)

    def refuse_labels(self, classes: Sequence[str] | None) -> None:
        """Raise TrainingDataError when no recording has a label, one is not of `classes`, or there are not two."""
        if not self.label_names:
            n, first = self.total + self.unlabelled, self.first_unlabelled or next(iter(self.keys))
            raise TrainingDataError(
                f"{n} of {n} recordings have no label, {first!r} for one: give a table of labels, JSON sidecars with a "
                "'label', or put the recordings in folders named by class"
                + (
                    f"; there are these columns for --label-column: {', '.join(sorted(self.unlabelled_columns))}"
                    * bool(self.unlabelled_columns)
                )
            )
        unknown = sorted(self.label_names - set(classes)) if classes else []
        if unknown:
            raise TrainingDataError(f"the classifier has no class for these labels: {', '.join(unknown)}")
        if classes is None and len(self.label_names) < 2:
            raise TrainingDataError(
                f"a classifier needs two classes or more, and all {self.total} recordings are labelled "
                f"{min(self.label_names)!r}"
            )
