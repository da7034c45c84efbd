"""The recordings in which cues are looked for: some of each subject, heard from the run's input."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.pcm import from_pcm, to_pcm
from pipeline.audit.audited import AuditedRun, AuditError
from pipeline.audit.shortcuts.cues.cue import Sound
from pipeline.runs.original import read_originals
from pipeline.storage.filesystem import display_url
from schemas.draws import rank_of

# So many recordings of a subject are heard, and of all together.
_OF_EACH, _OF_ALL = 60, 3000
# Less says nothing.
MIN_SUBJECT, _NAMED = 10, 10


@dataclass(frozen=True)
class Subject:
    """A class or a group of recordings, and the target that the classifier gives for them; rows of windows."""

    name: str
    what: str
    target: int
    rows: NDArray[np.int64]

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others: a class may have the name of a group."""
        return self.what, self.name


def subjects_of(audited: AuditedRun, group_by: Sequence[str]) -> list[Subject]:
    """Classes, by the labels or without any by the decisions, and groups by columns of metadata, as rows of the first
    windows of recordings; those that are too small are left out, which a note says."""
    first = audited.first_windows
    decided = audited.windows["label_index"].to_numpy()
    labels = audited.labels
    by_class: dict[str, list[int]] = defaultdict(list)
    for row in first.tolist():
        for name in labels[row] or ([] if any(labels) else [audited.classes[decided[row]]]):
            by_class[name].append(row)
    subjects = [_subject(name, "class", rows, decided, audited.classes) for name, rows in sorted(by_class.items())]
    for column in group_by:
        by_value: dict[str, list[int]] = defaultdict(list)
        for row, value in zip(first.tolist(), audited.column(column), strict=True):
            if value is not None:
                by_value[value].append(row)
        for value, rows in sorted(by_value.items()):
            subjects.append(_subject(f"{column}={value}", "group", rows, decided, audited.classes))
    few = [f"{one.name!r} ({len(one.rows)})" for one in subjects if len(one.rows) < MIN_SUBJECT]
    if few:
        more = f" and {len(few) - _NAMED} more" if len(few) > _NAMED else ""
        audited.note(
            "shortcut",
            f"not looked into, as they have fewer than {MIN_SUBJECT} recordings: {', '.join(few[:_NAMED])}{more}",
        )
    return [one for one in subjects if len(one.rows) >= MIN_SUBJECT]


def _subject(name: str, what: str, rows: list[int], decided: NDArray[np.int32], classes: list[str]) -> Subject:
    """A label that is no class of the classifier's, and a group, stand for the class that they are mostly given."""
    mostly = Counter(decided[rows].tolist()).most_common(1)[0][0]
    return Subject(name, what, classes.index(name) if name in classes else int(mostly), np.array(rows))


@dataclass(frozen=True)
class Sample:
    """Recordings that are heard: rows of the run's windows, and their sounds on the 16-bit grid."""

    rows: NDArray[np.int64]
    sounds: list[NDArray[np.int16]]

    def sound(self, number: int) -> Sound:
        """The sound `[n]` of the recording of this number, float32."""
        return from_pcm(self.sounds[number])

    def numbers(self, subject: Subject) -> NDArray[np.bool_]:
        """Which recordings of the sample are of a subject."""
        return np.isin(self.rows, subject.rows)


def hear(audited: AuditedRun, subjects: Sequence[Subject], input_url: str) -> Sample:
    """Read the first windows of some recordings of each subject again, the same ones in every audit.

    Raises AuditError where the input has none of them; a note says how many it does not have.
    """
    wanted = sorted({row for rows in _drawn(audited, subjects) for row in rows})
    by_id = {audited.window_ids[row]: row for row in wanted}
    found = {
        by_id[window_id]: to_pcm(sound)
        for window_id, sound in read_originals(audited.run, list(by_id), input_url)
        if len(sound)
    }
    rows = sorted(found)
    if wanted and not rows:
        raise AuditError(
            f"{display_url(input_url)}: it has none of the {len(wanted)} recordings that are to be heard again: "
            "give the input that the run was made of"
        )
    if len(rows) < len(wanted):
        audited.note(
            "shortcut", f"{len(wanted) - len(rows)} of {len(wanted)} recordings to be heard again are not in the input"
        )
    return Sample(np.array(rows, np.int64), [found[row] for row in rows])


def _drawn(audited: AuditedRun, subjects: Sequence[Subject]) -> Iterator[list[int]]:
    each = max(MIN_SUBJECT, min(_OF_EACH, _OF_ALL // max(1, len(subjects))))
    for subject in subjects:
        yield sorted(subject.rows.tolist(), key=lambda row: rank_of(audited.window_ids[row]))[:each]
