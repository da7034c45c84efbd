"""Marks that a person made while listening: which recordings are labelled right, which wrong, and what they are."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass

from pipeline.audit.audited import AuditedRun, AuditError
from pipeline.inputs.names import unpacked
from pipeline.inputs.table_rows import column_names, read_rows
from pipeline.storage.filesystem import display_url

MARKS = ("right", "wrong", "unsure")
_NEEDED = ("clip_id", "mark")


@dataclass(frozen=True)
class Mark:
    """What a person says of a recording: right, wrong or unsure, the right label where it is known, and a note."""

    mark: str
    label: str | None = None
    note: str | None = None


def load_marks(url: str) -> dict[str, Mark]:
    """Read marks, by `clip_id`, from a table with the columns clip_id and mark, and optionally label and note.

    If a recording is marked twice, the last mark counts; rows without a mark are left out.
    Raises InputError if the table cannot be read, AuditError if it lacks a column or a mark is another word.
    """
    rows, shown = read_rows(url), display_url(url)
    columns = column_names(rows)
    if lacking := [name for name in _NEEDED if name not in columns]:
        raise AuditError(
            f"{shown}: it has no column {lacking[0]!r}, only {', '.join(columns)}: pass the marks that a report saves"
        )
    found = {}
    for row in rows:
        clip_id, mark = (str(row.columns.get(name) or "").strip() for name in _NEEDED)
        if not mark:
            continue
        if mark not in MARKS:
            raise AuditError(f"{shown}, line {row.line}: the mark {mark!r} is not one of {', '.join(MARKS)}")
        label, note = (str(row.columns.get(name) or "").strip() or None for name in ("label", "note"))
        found[clip_id] = Mark(mark, label, note)
    return found


def marked_labels(about: AuditedRun, marks: dict[str, Mark]) -> dict[str, list[str]]:
    """The labels of all recordings by `clip_id`, with those that a person gave instead of wrong ones.

    Raises AuditError if the run has none of the marked recordings.
    """
    known = dict(zip(about.recordings, about.of_recordings(about.labels), strict=True))
    if marks and not marks.keys() & known.keys():
        raise AuditError(
            f"none of the {len(marks)} marked recordings is in the run: the marks were made for another one"
        )
    given = {clip_id: [mark.label] for clip_id, mark in marks.items() if mark.mark == "wrong" and mark.label}
    return {clip_id: given.get(clip_id, labels) for clip_id, labels in known.items()}


def note_odd_marks(marked: AuditedRun, before: AuditedRun, marks: dict[str, Mark]) -> None:
    """Note marks of recordings that the run does not have, and labels that no recording had `before` the marks."""
    if strange := len(marks.keys() - set(before.recordings)):
        marked.note("label_error", f"{strange} of {len(marks)} marks are of recordings that the run does not have")
    known = {label for own in before.labels for label in own}
    fresh = sorted({mark.label for mark in marks.values() if mark.label and mark.label not in known})
    if known and fresh:
        shown = ", ".join(repr(label) for label in fresh[:5]) + (" and more" if len(fresh) > 5 else "")
        marked.note("label_error", f"labels that no recording had before the marks: {shown}: check their spelling")


def reviewed_table(about: AuditedRun, marks: dict[str, Mark]) -> str:
    """The labels of all recordings as CSV to train with: key, label, mark, note, clip_id; a row for each label.

    A recording marked wrong has the label that the person gave. Without one, or if marked unsure, its label is empty,
    so that it is not trained with. `about` has the labels of `marked_labels`. Recordings that share a name with
    another, as channels and segments do, are left out: a table of labels could not tell them apart.
    """
    shards, keys = (about.of_recordings(about.windows[name].to_pylist()) for name in ("shard", "key"))
    names = [f"{unpacked(shard)}/{key}" if shard else key for shard, key in zip(shards, keys, strict=True)]
    times = Counter(names)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["key", "label", "mark", "note", "clip_id"])
    labels = about.of_recordings(about.labels)
    for clip_id, name, own in sorted(zip(about.recordings, names, labels, strict=True), key=lambda row: row[1]):
        mark = marks.get(clip_id, Mark(""))
        unknown = mark.mark == "unsure" or (mark.mark == "wrong" and not mark.label)
        if times[name] == 1:
            for label in ([] if unknown else own) or [""]:
                table.writerow([name, label, mark.mark, mark.note or "", clip_id])
    return text.getvalue()
