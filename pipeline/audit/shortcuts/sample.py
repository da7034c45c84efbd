"""The recordings that are searched for cues: some of each subject, read from the run's input."""

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

# Most recordings that are read of each subject, and of all together.
_OF_EACH, _OF_ALL = 60, 3000
# Fewest recordings that say something of a subject; subjects named in a note.
MIN_SUBJECT, _NAMED = 10, 10


@dataclass(frozen=True)
class Subject:
    """A class or a group of recordings, and the target that stands for them; `rows` are those of windows."""

    name: str
    what: str
    target: int
    rows: NDArray[np.int64]

    @property
    def key(self) -> tuple[str, str]:
        """A unique key, as a class may have the name of a group."""
        return self.what, self.name


def subjects_of(audited: AuditedRun, group_by: Sequence[str]) -> list[Subject]:
    """Classes, by labels or without any by decisions, and groups by metadata columns, as rows of recordings' first
    windows; those that are too small are left out, with a note."""
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
    """Make a subject; the target of a group, or of a label that is no class, is its most frequent decision."""
    mostly = Counter(decided[rows].tolist()).most_common(1)[0][0]
    return Subject(name, what, classes.index(name) if name in classes else int(mostly), np.array(rows))


@dataclass(frozen=True)
class Sample:
    """Recordings that were read: their rows among the run's windows, and their sounds as 16-bit samples."""

    rows: NDArray[np.int64]
    sounds: list[NDArray[np.int16]]

    def sound(self, number: int) -> Sound:
        """The sound `[n]` of recording `number`, float32."""
        return from_pcm(self.sounds[number])

    def sounds_of(self, chosen: NDArray[np.bool_]) -> list[Sound]:
        """The sounds of the recordings chosen by a bool each."""
        return [self.sound(number) for number in np.flatnonzero(chosen)]

    def numbers(self, subject: Subject) -> NDArray[np.bool_]:
        """Which recordings of the sample belong to a subject."""
        return np.isin(self.rows, subject.rows)


def read_sample(audited: AuditedRun, subjects: Sequence[Subject], input_url: str) -> Sample:
    """Read the first windows of some recordings of each subject again, the same ones in every audit.

    Raises AuditError if the input has none of them; a note says how many it lacks.
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
            f"{display_url(input_url)}: it has none of the {len(wanted)} recordings that are to be read again: "
            "pass the input that the run was made from"
        )
    if len(rows) < len(wanted):
        audited.note(
            "shortcut", f"{len(wanted) - len(rows)} of {len(wanted)} recordings to be read again are not in the input"
        )
    return Sample(np.array(rows, np.int64), [found[row] for row in rows])


def _drawn(audited: AuditedRun, subjects: Sequence[Subject]) -> Iterator[list[int]]:
    each = max(MIN_SUBJECT, min(_OF_EACH, _OF_ALL // max(1, len(subjects))))
    for subject in subjects:
        yield sorted(subject.rows.tolist(), key=lambda row: rank_of(audited.window_ids[row]))[:each]
