"""Match the rows of a table of labels to recordings, by their names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import product, takewhile

from pipeline.inputs.names import RecordingName
from pipeline.inputs.spelling import folded
from pipeline.inputs.suffixes import is_audio, without_audio_suffix
from pipeline.inputs.table_columns import LabelTable, Named
from pipeline.storage.errors import InputError


def find_rows(table: LabelTable, names: Sequence[RecordingName], root_url: str) -> dict[str, Named]:
    """Return the row about each recording, by `clip_id`; recordings that the table does not name are left out.

    Names are compared whole, then without the audio suffix; then the table's may be the end of a recording's (a bare
    `001.wav`), and last a recording's the end of the table's (a path of another machine). A row that is matched in one
    way is not tried in later ways. A row whose folders differ from a recording's does not match it if another row has
    more of them right.
    Raises InputError for a row that may match several recordings, or two rows that may match one.
    """
    forms = [_Forms(name, root_url) for name in names]
    left = dict(table.rows)
    found: dict[int, str] = {}
    cuts: tuple[_Cut, ...] = (str, without_audio_suffix)
    for level, cut in product((_same, _ends, _longer), cuts):
        taken: dict[int, str] = {}
        for key, places in level(left, forms, cut).items():
            del left[key]
            about = {place for place in places if place not in found or forms[place].may_be(key, found[place])}
            _refuse_several(table, key, [forms[place] for place in sorted(about)])
            for place in about:
                if (other := found.get(place, taken.setdefault(place, key))) != key:
                    lines = sorted((table.rows[other].line, table.rows[key].line))
                    raise InputError(
                        f"{table.shown}, lines {lines[0]} and {lines[1]}: {other!r} and {key!r} may both be "
                        f"{forms[place].path!r}: write its path as the input has it"
                    )
        found |= taken
    return {names[place].clip_id: table.rows[key] for place, key in found.items()}


class _Forms:
    """The names of a recording: its path within the input, and its whole path."""

    def __init__(self, name: RecordingName, root_url: str) -> None:
        inside, key = folded(name.name), folded(name.key)
        self.path = f"{name.shard}/{inside}" if name.shard else inside
        # A key that differs from the name belongs to a second recording of that name.
        self.names = {inside, self.path} | ({key} if key != without_audio_suffix(inside) else set())
        self.whole = folded(f"{root_url}/{self.path}")

    @property
    def stem(self) -> str:
        return without_audio_suffix(self.path)

    def may_be(self, key: str, other: str) -> bool:
        """Whether a key may name it as well as another key: it has no wrong folder, or as many right ones."""
        right = self._right(key)
        return right == key.count("/") + 1 or right >= self._right(other)

    def _right(self, key: str) -> int:
        """Count the path components, from the last one back, that a key has in common with the whole path."""
        pairs = zip(
            *(without_audio_suffix(path).split("/")[::-1] for path in (key, self.whole)),
            strict=False,
        )
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


_Places = dict[str, set[int]]


# How much of a name counts: all of it, or all but its suffix.
_Cut = Callable[[str], str]


def _same(rows: dict[str, Named], forms: list[_Forms], cut: _Cut) -> _Places:
    """Return the recordings with exactly this name."""
    return _where(rows, cut, ((cut(name), place) for place, form in enumerate(forms) for name in form.names))


def _ends(rows: dict[str, Named], forms: list[_Forms], cut: _Cut) -> _Places:
    """Return the recordings whose path ends with the key."""
    return _where(rows, cut, ((end, place) for place, form in enumerate(forms) for end in _ends_of(cut(form.whole))))


def _longer(rows: dict[str, Named], forms: list[_Forms], cut: _Cut) -> _Places:
    """Return the recordings whose name a key ends with; the longest such end counts."""
    by_name: _Places = defaultdict(set)
    for place, form in enumerate(forms):
        for name in form.names:
            by_name[cut(name)].add(place)
    ends = {key: next((end for end in _ends_of(cut(key)) if end in by_name), None) for key in rows}
    return {key: set(by_name[end]) for key, end in ends.items() if end is not None}


def _where(rows: dict[str, Named], cut: _Cut, names: Iterator[tuple[str, int]]) -> _Places:
    keys: dict[str, list[str]] = defaultdict(list)
    for key in rows:
        keys[cut(key)].append(key)
    found: _Places = defaultdict(set)
    for name, place in names:
        for key in keys.get(name, ()):
            found[key].add(place)
    return found


def _ends_of(path: str) -> Iterator[str]:
    """Yield the ends of a path: all of it, without its first folder, and so on to its last name."""
    at = 0
    while at >= 0:
        if at < len(path):
            yield path[at:]
        slash = path.find("/", at)
        at = slash + 1 if slash >= 0 else -1


def _refuse_several(table: LabelTable, key: str, places: list[_Forms]) -> None:
    # A name without suffix stands for all the recordings that have it.
    if len(places) > 1 and (is_audio(key) or len({place.stem for place in places}) > 1):
        raise InputError(
            f"{table.shown}, line {table.rows[key].line}: {key!r} is ambiguous, it may be {places[0].path!r} or "
            f"{places[1].path!r}: write more of its path"
        )
