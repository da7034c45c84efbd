"""The recordings of an input by plain readers of their own, beside those that made the run."""

from __future__ import annotations

import bz2
import codecs
import contextlib
import csv
import gzip
import hashlib
import io
import json
import lzma
import os
import posixpath
import re
import tarfile
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from pipeline.inputs.suffixes import AUDIO_SUFFIXES
from pipeline.inputs.table_columns import LABEL_COLUMNS, URI_COLUMNS
from pipeline.storage.filesystem import GLOB, is_local, is_url, open_filesystem, refuse_special
from schemas.input_config import InputConfig

_TARS = (".tar.zst", ".tzst", ".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
_BATCH_ROWS = 16
# The columns that say from when to when a row is.
_FROM = ("start", "start_s", "start_time", "start_seconds", "begin", "onset")
_TO = ("end", "end_s", "end_time", "end_seconds", "stop", "stop_s")
_FOR = ("duration", "duration_s", "dur")
_FOLDER_TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "metadata.tsv")
Span = tuple[float, float | None]
_WHOLE: Span = (0.0, None)
DAMAGE = (tarfile.TarError, OSError, EOFError, ValueError, OverflowError, zlib.error, lzma.LZMAError)
_TEXTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
_PACKED = {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress}
_TABLES = tuple(text + packed for text in _TEXTS for packed in ("", *_PACKED, ".zst"))
_ABOUT = (".json", ".cls", ".label")
# Files that are not opened to hear whether they are sound.
_SILENT = frozenset(
    {
        *(*_ABOUT, ".txt", ".md", ".csv", ".tsv", ".jsonl", ".xml", ".html", ".yaml", ".yml", ".log", ".pdf", ".py"),
        *(".jpg", ".jpeg", ".png", ".gif", ".npy", ".npz", ".pt", ".pth", ".pkl", ".zip", ".gz", ".bz2", ".xz", ".zst"),
    }
)


@dataclass(frozen=True)
class Counted:
    """A recording of the input: its id, what it is called, what reads it, and its labels; None where unknown.

    A segment has its times; its file is read for each. `names` are those that a table may have for it, and `whole` is
    the longest path of it.
    """

    clip_id: str
    name: str
    read: Callable[[], bytes]
    labels: tuple[str, ...] | None = None
    span: tuple[float, float | None] = (0.0, None)
    of_file: str = ""
    names: tuple[str, ...] = ()
    whole: str = ""

    @property
    def file_id(self) -> str:
        """The id of the file that it is a segment of, or its own."""
        return self.of_file or self.clip_id


@dataclass
class Census:
    """What is known of an input besides its recordings: how many `others` it has, and why some was not counted.

    With the reason come the ids under which a run has it among its errors.
    """

    others: int = 0
    uncounted: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)


def recordings_in(
    url: str, reading: InputConfig, census: Census, is_sound: Callable[[bytes], bool]
) -> Iterator[Counted]:
    """Yield the recordings of an input: files of audio, members of tars, rows of Parquet and of manifests.

    Where the suffix of a file tells nothing, `is_sound` says by its contents whether it is one.
    """
    fs, path = open_filesystem(url)
    if url.lower().endswith(_TABLES) and fs.isfile(path):
        try:
            yield from _manifest(url, reading)
        except (*DAMAGE, csv.Error) as error:
            census.uncounted.append((f"{posixpath.basename(path)}: {error}", ()))
        return
    files = sorted(_files(url))
    there = {relative for _, relative in files}
    tables = {
        relative: bytes(fs.cat_file(f"{root}/{relative}"))
        for root, relative in files
        if posixpath.basename(relative).lower() in _FOLDER_TABLES
    }
    described = _described(tables, reading, census)
    for root, relative in files:
        full = f"{root}/{relative}"
        suffix = os.path.splitext(relative.lower())[1]

        def read(full: str = full) -> bytes:
            return bytes(fs.cat_file(full))

        if any(part.startswith(".") for part in relative.split("/")):
            census.others += 1
        elif _is_special(fs, full):
            if suffix in AUDIO_SUFFIXES:
                yield Counted(_digest(relative), relative, bytes, names=(relative,), whole=full)
            census.others += suffix not in (*AUDIO_SUFFIXES, *_TARS, ".parquet")
        elif relative.lower().endswith(_TARS):
            with fs.open(full, "rb") as stream:
                for one in _tar(relative, stream, reading, census):
                    yield _of_archive(one, relative, root)
        elif suffix == ".parquet":
            with fs.open(full, "rb") as stream:
                for one in _parquet(relative, stream, reading, census):
                    yield _of_archive(one, relative, root)
        elif suffix in AUDIO_SUFFIXES or (suffix not in _SILENT and is_sound(read())):
            stem = os.path.splitext(relative)[0]
            said: dict[str, Any] = {}
            for about in (about for about in _ABOUT if stem + about in there):
                said |= _said(bytes(fs.cat_file(f"{root}/{stem}{about}")), about)
            one = Counted(_digest(relative), relative, read, None, names=(relative,), whole=full)
            yield from _with_rows(one, described, said, reading)
        elif suffix not in _ABOUT:
            census.others += 1


def _described(
    tables: Mapping[str, bytes], reading: InputConfig, census: Census
) -> dict[str, dict[Span, list[dict[str, Any]]]]:
    """What the tables of folders say of the recordings in them, by their paths; the nearest one's words count."""
    found: dict[str, dict[Span, list[dict[str, Any]]]] = {}
    for place in sorted(tables, key=lambda place: (place.count("/"), place)):
        try:
            rows = list(_rows_in(tables[place], place, reading))
        except (*DAMAGE, pa.ArrowException, csv.Error) as error:
            census.uncounted.append((f"{place}: {error}", ()))
            continue
        columns = {name.lower(): name for row in rows for name in row}
        column = next((columns[name] for name in ("file_name", *URI_COLUMNS) if name in columns), "")
        here: dict[str, dict[Span, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            if row.get(column):
                path = posixpath.normpath(posixpath.join(posixpath.dirname(place), str(row[column]).replace("\\", "/")))
                said = {name: value for name, value in row.items() if name != column}
                here[path][span_of(said, columns.values()) if reading.segments else _WHOLE].append(said)
        found.update(here)
    return found


def _with_rows(
    one: Counted,
    described: Mapping[str, dict[Span, list[dict[str, Any]]]],
    said: Mapping[str, Any],
    reading: InputConfig,
) -> Iterator[Counted]:
    """A recording with the labels that a table of its folder has for it, or its segments; `said` is its sidecars'."""
    spans = described.get(one.names[0], {})
    parted = set(spans) - {_WHOLE}
    for span, rows in spans.items() if spans else [(_WHOLE, [dict(said)])]:
        every = [labels_of({**said, **row} if parted else {**row, **said}, reading) for row in rows]
        known = [labels for labels in every if labels is not None]
        labels = tuple(dict.fromkeys(label for some in known for label in some)) if known else None
        name = one.name if span == _WHOLE else f"{one.name} from {span[0]:g} s"
        yield replace(
            one, clip_id=segment_id(one.clip_id, span), name=name, labels=labels, span=span, of_file=one.clip_id
        )


def _of_archive(one: Counted, relative: str, root: str) -> Counted:
    """A recording of an archive, which a table may also name as if that were unpacked."""
    suffix = next((suffix for suffix in _TARS if relative.lower().endswith(suffix)), ".parquet")
    inside = f"{relative[: -len(suffix)]}/{one.whole}"
    return replace(one, names=(*one.names, inside), whole=f"{root}/{inside}")


def _is_special(fs: AbstractFileSystem, path: str) -> bool:
    """Whether it is a pipe, a socket or a device, which reading would wait for."""
    try:
        refuse_special(fs, path)
    except OSError:
        return True
    return False


def segment_id(clip_id: str, span: tuple[float, float | None]) -> str:
    """The id of a segment of a recording; the recording's own for all of it."""
    start, stop = span
    if start == 0 and stop is None:
        return clip_id
    return _digest(f"{clip_id}\0{start:.6f}-{'' if stop is None else f'{stop:.6f}'}")


def _digest(place: str) -> str:
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _files(url: str) -> Iterator[tuple[str, str]]:
    """Yield the root and the relative path of every file below a folder, or of the one file."""
    fs, path = open_filesystem(url)
    magic = GLOB.search(path)
    if magic and not fs.exists(path):
        root = path[: magic.start()].rpartition("/")[0]
        for match in fs.glob(path):
            for folder, name in _files(match) if is_local(fs) else [match.rsplit("/", 1)]:
                yield root, f"{folder}/{name}"[len(root) + 1 :]
    elif fs.isfile(path) and not (is_local(fs) and os.path.isdir(path)):
        yield tuple(path.rsplit("/", 1))  # type: ignore[misc]
    elif is_local(fs):
        seen: dict[str, set[str]] = {path: {os.path.realpath(path)}}
        for folder, folders, names in os.walk(path, followlinks=True):
            above = seen.pop(folder)
            for one in list(folders):
                real = os.path.realpath(os.path.join(folder, one))
                if real in above:
                    folders.remove(one)
                else:
                    seen[os.path.join(folder, one)] = above | {real}
            yield from ((path, os.path.relpath(os.path.join(folder, name), path)) for name in names)
    else:
        yield from ((path, name[len(path) + 1 :]) for name in fs.find(path))


def _tar(uri: str, stream: IO[bytes], reading: InputConfig, census: Census) -> Iterator[Counted]:
    try:
        if uri.lower().endswith((".zst", ".tzst")):
            stream = io.BytesIO(pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd").read())
        archive = tarfile.open(fileobj=stream, mode="r:*", errors="surrogateescape")  # noqa: SIM115
        parts = [archive.getmembers()[:], *_joined(archive)]
    except DAMAGE as error:
        census.uncounted.append((f"{uri}: {error}", (_digest(uri), _digest(f"{uri}\0\0"))))
        return
    members = [(number, member) for number, part in enumerate(parts) for member in part]
    archive.members[:] = [member for _, member in members]  # type: ignore[attr-defined]
    about: dict[tuple[int | None, str], dict[str, Any]] = defaultdict(dict)
    for number, member in members:
        stem, suffix = os.path.splitext(os.path.normpath(member.name))
        if member.isfile() and suffix.lower() in _ABOUT:
            said = _said(_content(archive, member), suffix.lower())
            about[number, stem].update(said)
            about[None, stem].update(said)
    tables = {
        name: _content(archive, member)
        for _, member in members
        if posixpath.basename(name := os.path.normpath(member.name)).lower() in _FOLDER_TABLES
    }
    described = _described(tables, reading, census)
    keys: set[str] = set()
    names: set[str] = set()
    for number, member in members:
        name = os.path.normpath(member.name)
        stem, suffix = os.path.splitext(name)
        hidden = any(part.startswith(".") and part != ".." for part in name.split("/"))
        if suffix.lower() not in AUDIO_SUFFIXES or hidden or not (member.isfile() or member.islnk() or member.issym()):
            census.others += not member.isdir() and suffix.lower() not in (*_ABOUT, ".txt")
            continue
        key = name if stem in keys else stem
        if name in names:
            key = next(f"{stem}#{n}" for n in range(2, len(members) + 2) if f"{stem}#{n}" not in keys)
        keys.add(key)
        names.add(name)
        beside = next((about[one, stem] for one in (number, None) if (one, stem) in about), None)

        def content(member: tarfile.TarInfo = member) -> bytes:
            return _content(archive, member)

        names_of_it = (name,) if key == stem else (name, key)
        identity = _digest(f"{uri}\0{key}")
        one = Counted(identity, f"{uri}: {key}", content, None, names=names_of_it, whole=name)
        yield from _with_rows(one, described if beside is None else {}, beside or {}, reading)


def _joined(archive: tarfile.TarFile) -> Iterator[list[tarfile.TarInfo]]:
    """The members of each archive that `cat` has put behind the end of one."""
    stream: Any = archive.fileobj
    at = archive.offset
    while True:
        stream.seek(at)
        block = stream.read(tarfile.BLOCKSIZE)
        if not block:
            return
        if block.count(0) == len(block):
            at += tarfile.BLOCKSIZE
            continue
        stream.seek(at)
        try:
            more = tarfile.TarFile(fileobj=stream, errors="surrogateescape")
        except tarfile.TarError:
            return
        yield more.getmembers()
        if more.offset <= at:
            return
        at = more.offset


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """The contents of a member, or of what it is a link to; none where there are none to be had."""
    try:
        file = archive.extractfile(member)
        return file.read() if file is not None else b""
    except (KeyError, RecursionError, *DAMAGE):
        return b""


def _said(text: bytes, suffix: str) -> dict[str, Any]:
    if suffix != ".json":
        return {suffix[1:]: text.decode("utf-8-sig", "replace").strip()}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _parquet(uri: str, stream: IO[bytes], reading: InputConfig, census: Census) -> Iterator[Counted]:
    try:
        file = pq.ParquetFile(stream)
    except (pa.ArrowException, OSError) as error:
        census.uncounted.append((f"{uri}: {error}", (_digest(f"{uri}\x000"),)))
        return
    schema = file.schema_arrow
    features: dict[str, Any] = {}
    with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError):
        features = dict(json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"])
    kinds = {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    marked = [name for name, feature in kinds.items() if feature.get("_type") == "Audio"]
    column = next((name for name in (reading.audio_column, *marked, "audio", "bytes") if name in schema.names), None)
    if column is None or not _holds_sound(schema.field(column).type, column in (reading.audio_column, *marked)):
        census.others += 1
        return
    classes = _class_names(schema)
    row = 0
    try:
        for batch in file.iter_batches(_BATCH_ROWS):
            for said in _rows(batch, column):
                cell = said.pop(column)
                data = cell.get("bytes") if isinstance(cell, dict) else cell
                said = _with_names(said, classes)

                def content(data: Any = data) -> bytes:
                    return data if isinstance(data, bytes) else b""

                path = cell.get("path") if isinstance(cell, dict) else cell if isinstance(cell, str) else None
                path = (path or "").replace("\\", "/").removeprefix("./")
                if path.startswith("/") or path[1:3] == ":/":
                    path = posixpath.basename(path)
                path = path or f"{posixpath.basename(uri).removesuffix('.parquet')}-{row}"
                for one in _spanned(_digest(f"{uri}\0{row}"), f"{uri}, row {row}", content, said, reading):
                    yield replace(one, names=(path,), whole=path)
                row += 1
    except (pa.ArrowException, OSError) as error:
        lost = tuple(_digest(f"{uri}\0{number}") for number in range(row, file.metadata.num_rows))
        census.uncounted.append((f"{uri}, from row {row}: {error}", lost))


def _holds_sound(kind: pa.DataType, said_so: bool) -> bool:
    """Whether a column may hold sound by its type; text does where something else says so."""
    if pa.types.is_struct(kind):
        return any(kind.get_field_index(name) >= 0 for name in ("bytes", "path", "array"))
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return (
        said_so if text else pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_dictionary(kind)
    )


def _rows(batch: pa.RecordBatch, column: str) -> list[dict[str, Any]]:
    try:
        return list(batch.to_pylist())
    except (ValueError, OverflowError):
        # A column holds what Python has no value for, as text that is not UTF-8: the sound alone will do.
        cells = batch.column(column)
        data = cells.field("bytes") if pa.types.is_struct(cells.type) else cells
        return [{column: one} for one in data.to_pylist()]


def _manifest(url: str, reading: InputConfig) -> Iterator[Counted]:
    fs, path = open_filesystem(url)
    folder = posixpath.dirname(path)
    rows = list(rows_of(url, reading))
    columns = {name.lower(): name for row in rows for name in row}
    wanted = [reading.uri_column.lower()] if reading.uri_column else list(URI_COLUMNS)
    column = next((columns[name] for name in wanted if name in columns), "")
    found: dict[tuple[str, tuple[float, float | None]], Counted] = {}
    written: dict[str, str] = {}
    for said in rows if column else ():
        uri = str(said.pop(column))
        place = (
            open_filesystem(uri)[1]
            if is_url(uri)
            else posixpath.normpath(posixpath.join(folder, uri.replace("\\", "/")))
        )
        uri = written.setdefault(unicodedata.normalize("NFC", place), uri)
        full = uri if is_url(uri) or uri.startswith("/") else f"{folder}/{uri}"

        def read(full: str = full) -> bytes:
            there, place = open_filesystem(full) if is_url(full) else (fs, full)
            return bytes(there.cat_file(place))

        for one in _spanned(_digest(uri), uri, read, said, reading, columns.values()):
            before = found.get((uri, one.span))
            both = (*(before.labels or ()), *(one.labels or ())) if before is not None else one.labels
            labels = tuple(dict.fromkeys(both)) if both is not None else None
            found[uri, one.span] = replace(one, labels=labels, names=(uri,), whole=full)
    yield from found.values()


def rows_of(url: str, reading: InputConfig) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table; blanks around names and values are left off."""
    fs, path = open_filesystem(url)
    yield from _rows_in(bytes(fs.cat_file(path)), url, reading)


def _rows_in(data: bytes, url: str, reading: InputConfig) -> Iterator[dict[str, Any]]:
    name, packed = os.path.splitext(url.lower())
    if packed in _PACKED:
        data = _PACKED[packed](data)
    elif packed == ".zst":
        data = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    elif packed == ".parquet":
        yield from _table_rows(data)
        return
    text = data.decode("utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")
    if (url.lower() if packed in _TEXTS else name).endswith((".jsonl", ".ndjson", ".json")):
        lines = (
            json.loads(text) if text.lstrip().startswith("[") else map(json.loads, filter(str.strip, text.split("\n")))
        )
        yield from lines
        return
    head = text.split("\n", 1)[0]
    delimiter = reading.delimiter or max("\t,;|", key=head.count)
    header, *rows = _cells(text, delimiter, reading.quote) or [[]]
    for row in rows:
        pairs = zip(header, row, strict=False)
        yield {name.strip(): value.strip() for name, value in pairs if name.strip()}


def _table_rows(data: bytes) -> list[dict[str, Any]]:
    table = pq.read_table(pa.BufferReader(data))
    classes = _class_names(table.schema)
    return [_with_names(row, classes) for row in table.to_pylist()]


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """The names of the classes whose numbers columns have."""
    features: dict[str, Any] = {}
    with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError):
        features = dict(json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"])
    return {name: one["names"] for name, one in features.items() if isinstance(one, dict) and one.get("names")}


def _with_names(row: dict[str, Any], classes: Mapping[str, list[str]]) -> dict[str, Any]:
    named = {name: row.get(name) for name in classes}
    return row | {
        name: classes[name][number] if isinstance(number, int) and 0 <= number < len(classes[name]) else None
        for name, number in named.items()
    }


def _cells(text: str, delimiter: str, quote: str | None) -> list[list[str]]:
    """The cells of each row: by marks where these cost no line, line by line where each is whole without them.

    Raises ValueError where neither is so and a value of several lines has a row in it.
    """
    lines = [line for line in re.split("\r\n|\n|\r", text) if line.strip()]
    plain = [line.split(delimiter) for line in lines]
    if quote == "none":
        return plain
    rows, took, before = [], [], 0
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote or '"', skipinitialspace=True
    )
    for row in reader:
        if any(cell.strip() for cell in row):
            rows.append(row)
            took.append((before, reader.line_num))
        before = reader.line_num
    width = len(plain[0]) if plain else 0
    even = text.count('"') % 2 == 0 and all(len(row) == width for row in rows)
    if quote is not None or (len(rows) == len(plain) and even):
        return rows
    marked = sum(line.lstrip().startswith('"') for line in lines[1:])
    if all(len(row) == width for row in plain) and 2 * marked < len(lines):
        return plain
    every = re.split("\r\n|\n|\r", text)
    for first, last in took:
        inside = [line.split(delimiter) for line in every[first + 1 : last]]
        names = (row[0].strip().lower() for row in inside if len(row) > 1)
        if not every[first].startswith('"') and (
            any(len(row) >= width for row in inside) or any(name.endswith(tuple(AUDIO_SUFFIXES)) for name in names)
        ):
            raise ValueError(f"the marks on line {first + 1} take rows until line {last}")
    return rows


def _spanned(
    identity: str,
    name: str,
    read: Callable[[], bytes],
    said: Mapping[str, Any],
    reading: InputConfig,
    columns: Iterable[str] = (),
) -> Iterator[Counted]:
    span = span_of(said, columns) if reading.segments else _WHOLE
    shown = name if span == _WHOLE else f"{name} from {span[0]:g} s"
    yield Counted(segment_id(identity, span), shown, read, labels_of(said, reading), span, identity)


def span_of(said: Mapping[str, Any], columns: Iterable[str] = ()) -> Span:
    """The times of a row in seconds; those of the whole recording where it has none.

    Which columns are times the `columns` of its table say, for a row of JSON may lack some.
    """
    there = {name.lower(): name for name in (*columns, *said)}
    start, stop, length = (next((there[one] for one in some if one in there), None) for some in (_FROM, _TO, _FOR))
    offset = next((there[one] for one in ("offset", "offset_s") if one in there), None)
    is_onset = start is not None and start.lower() == "onset"
    if is_onset and stop is None and offset is not None:
        stop, length = offset, None
    elif start is None or (stop is None and length is None):
        start = offset or (start if is_onset else None)
    if start is None:
        return _WHOLE
    begin, end, lasts = (_number(said.get(name)) if name else None for name in (start, stop, length))
    if stop is None:
        end = begin + lasts if begin is not None and lasts is not None else None
    # To the microsecond, as the ids are.
    return round(begin or 0.0, 6), None if end is None else round(end, 6)


def _number(value: Any) -> float | None:
    try:
        return value.total_seconds() if isinstance(value, timedelta) else float(value)
    except (TypeError, ValueError):
        return None


def labels_of(said: Mapping[str, Any], reading: InputConfig) -> tuple[str, ...] | None:
    """The labels in a row or a sidecar; None where it has no field for them."""
    by_name = {name.lower(): value for name, value in said.items()}
    wanted = [reading.label_column.lower()] if reading.label_column else [*LABEL_COLUMNS, "cls"]
    there = [by_name[name] for name in wanted if name in by_name]
    if not there:
        return None
    value = next((one for one in there if one not in (None, "", [])), None)
    values = value if isinstance(value, list) else [] if value is None else [value]
    if reading.label_separator:
        values = [part for one in values for part in str(one).split(reading.label_separator)]
    shown = (
        str(one).strip().encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        for one in values
        if one is not None
    )
    return tuple(dict.fromkeys(one for one in shown if one))
