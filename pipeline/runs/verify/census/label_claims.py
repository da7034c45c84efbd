"""Match a table of labels to the recordings of an input, by plain rules for names."""

from __future__ import annotations

import posixpath
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from pipeline.inputs.suffixes import AUDIO_SUFFIXES
from pipeline.inputs.table_columns import KEY_COLUMNS
from pipeline.runs.verify.census.counted import WHOLE, Counted, Span, segment_id
from pipeline.runs.verify.census.meaning import labels_of, span_of
from pipeline.runs.verify.census.rows import rows_of
from schemas.input_config import InputConfig

# The labels of each name in the table: those of its segments, or of the whole.
Rows = dict[str, dict[Span, tuple[str, ...]]]


def label_rows(url: str, reading: InputConfig) -> Rows:
    """Return the rows of a table of labels by the names in it; raises ValueError when a row names no recording."""
    found: Rows = defaultdict(dict)
    every = list(rows_of(url, reading))
    known = list(dict.fromkeys(name for row in every for name in row))
    for row in every:
        columns = {name.lower(): name for name in row}
        keys = [reading.key_column.lower()] if reading.key_column else list(KEY_COLUMNS)
        key = next((name for one in keys if (name := columns.get(one)) is not None), None)
        if key is None:
            raise ValueError("a row of it names no recording")
        rows = found[_plain(str(row[key]))]
        said = {name: value for name, value in row.items() if name != key}
        span = span_of(said, (name for name in known if name != key)) if reading.segments else WHOLE
        rows[span] = tuple(dict.fromkeys((*rows.get(span, ()), *(labels_of(said, reading) or ()))))
    return found


class Claims:
    """Which rows are about which recording: by the same name, else the same stem, else an end of its path.

    A row that matches a recording by one of these rules matches no other by a later rule.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._parted: set[str] = set()
        self._by_base: dict[str, list[str]] = defaultdict(list)
        for key, spans in rows.items():
            if set(spans) != {WHOLE}:
                self._by_base[_stem(posixpath.basename(key))].append(key)

    def parts(self, one: Counted, is_there: Callable[[str], bool]) -> list[Counted]:
        """Return the segments that the table makes of a recording, or the recording with its labels not yet known.

        If the table's name for it is longer or shorter than its path, it counts only if the run has such a segment.
        """
        if one.file_id in self._parted:
            # The table's segments replace all of the input's own.
            return []
        names = {_plain(name) for name in one.names}
        bases = {_stem(posixpath.basename(name)) for name in names}
        keys = [key for base in sorted(bases) for key in self._by_base.get(base, ())]
        for key in sorted(keys, key=lambda key: (key not in names, -_common(key, _plain(one.whole)))):
            parts = [
                replace(
                    one,
                    clip_id=segment_id(one.file_id, span),
                    name=f"{one.name} from {span[0]:g} s",
                    labels=labels,
                    span=span,
                    of_file=one.file_id,
                )
                for span, labels in self._rows[key].items()
            ]
            if key in names or any(is_there(part.clip_id) for part in parts if part.span != WHOLE):
                self._parted.add(one.file_id)
                return parts
        return [replace(one, labels=None)]

    def whole(self, recordings: Sequence[Counted]) -> list[tuple[str, ...] | None]:
        """Return the labels of each recording as a whole: none without a row, None if two rows match equally well."""
        names = [sorted({_plain(name) for name in one.names}) for one in recordings]
        ends = [list(_ends(_plain(one.whole))) for one in recordings]
        left = {key for key, spans in self._rows.items() if set(spans) == {WHOLE}}
        found: dict[int, set[str]] = {}
        for texts, shorten in ((names, False), (ends, False), (names, True)):
            for cut in (str, _stem):
                claimed = _near(left, [[cut(text) for text in of_one] for of_one in texts], cut, shorten)
                for keys in claimed.values():
                    left -= keys
                for place, keys in claimed.items():
                    found.setdefault(place, keys)
        return [self._labels(found.get(place, set()), names[place]) for place in range(len(recordings))]

    def _labels(self, keys: set[str], names: list[str]) -> tuple[str, ...] | None:
        if len(keys) == 1:
            return self._rows[min(keys)][WHOLE]
        parted = any(_stem(posixpath.basename(name)) in self._by_base for name in names)
        return None if keys or parted else ()


def _near(keys: set[str], texts: list[list[str]], cut: Callable[[str], str], shorten: bool) -> dict[int, set[str]]:
    """Return the keys that equal one of a recording's texts or, with `shorten`, whose longest matching end does."""
    places: dict[str, set[int]] = defaultdict(set)
    for place, of_one in enumerate(texts):
        for text in of_one:
            places[text].add(place)
    found: dict[int, set[str]] = defaultdict(set)
    for key in keys:
        ends = _ends(cut(key)) if shorten else iter((cut(key),))
        for place in places.get(next((end for end in ends if end in places), ""), ()):
            found[place].add(key)
    return found


def _plain(name: str) -> str:
    return posixpath.normpath(unicodedata.normalize("NFC", name.strip()).replace("\\", "/"))


def _stem(name: str) -> str:
    stem, suffix = posixpath.splitext(name)
    return stem if suffix.lower() in AUDIO_SUFFIXES else name


def _ends(path: str) -> Iterator[str]:
    names = path.split("/")
    return ("/".join(names[first:]) for first in range(len(names)) if names[first])


def _common(key: str, path: str) -> int:
    pairs = list(zip(_stem(key).split("/")[::-1], _stem(path).split("/")[::-1], strict=False))
    return next((place for place, (one, other) in enumerate(pairs) if one != other), len(pairs))
