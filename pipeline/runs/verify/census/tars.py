"""List the recordings of a tar, by its headers from first to last."""

from __future__ import annotations

import io
import json
import os
import posixpath
import re
import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import IO, Any

import pyarrow as pa

from pipeline.inputs.suffixes import AUDIO_SUFFIXES
from pipeline.runs.verify.census.counted import DAMAGE, Census, Counted, digest
from pipeline.runs.verify.census.folder_tables import FOLDER_TABLES, described_by_tables, with_rows
from schemas.input_config import InputConfig

SIDECARS = (".json", ".cls", ".label")
# Files that are not opened to find out whether they are sound.
SILENT = frozenset(
    {
        *(*SIDECARS, ".txt", ".md", ".csv", ".tsv", ".jsonl", ".xml", ".html", ".yaml", ".yml", ".log", ".pdf", ".py"),
        *(".jpg", ".jpeg", ".png", ".gif", ".npy", ".npz", ".pt", ".pth", ".pkl", ".zip", ".gz", ".bz2", ".xz", ".zst"),
    }
)


def tar_recordings(
    uri: str, stream: IO[bytes], reading: InputConfig, census: Census, is_sound: Callable[[bytes], bool]
) -> Iterator[Counted]:
    """Yield the recordings of a tar with their labels; members of other kinds, and damage, are noted in the census.

    If the suffix of a member says nothing, `is_sound` decides by its contents whether it is a recording.
    """
    try:
        if uri.lower().endswith((".zst", ".tzst")):
            stream = io.BytesIO(pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd").read())
        archive = tarfile.open(fileobj=stream, mode="r:*", errors="surrogateescape")  # noqa: SIM115
        parts = [archive.getmembers()[:], *_joined(archive)]
    except DAMAGE as error:
        census.uncounted.append((f"{uri}: {error}", (digest(uri), digest(f"{uri}\0\0"))))
        return
    seen: Counter[tuple[int, str]] = Counter()
    members = []
    for number, part in enumerate(parts):
        for member in part:
            # The nth member of a name goes with the nth sidecar of that name.
            members.append(((number, seen[number, member.name]), member))
            seen[number, member.name] += 1
    archive.members[:] = [member for _, member in members]  # type: ignore[attr-defined]
    about: dict[tuple[tuple[int, int] | None, str], dict[str, Any]] = defaultdict(dict)
    for turn, member in members:
        stem, suffix = os.path.splitext(os.path.normpath(member.name))
        if member.isfile() and suffix.lower() in SIDECARS:
            said = said_by(_content(archive, member), suffix.lower())
            about[turn, stem].update(said)
            about[None, stem].update(said)
    tables = {
        name: _content(archive, member)
        for _, member in members
        if posixpath.basename(name := os.path.normpath(member.name)).lower() in FOLDER_TABLES
    }
    described = described_by_tables(tables, reading, census)
    keys: set[str] = set()
    names: set[str] = set()
    for turn, member in members:
        name = os.path.normpath(member.name)
        stem, suffix = os.path.splitext(name)
        hidden = any(part.startswith(".") and part != ".." for part in name.split("/"))
        unknown = suffix.lower() not in (*AUDIO_SUFFIXES, *SILENT) and member.isfile() and not hidden
        if unknown and is_sound(_content(archive, member)):
            # A suffix of letters is not part of the name.
            stem = stem if re.fullmatch(r"\.[A-Za-z][A-Za-z0-9]{0,7}", suffix) else name
        elif (
            suffix.lower() not in AUDIO_SUFFIXES or hidden or not (member.isfile() or member.islnk() or member.issym())
        ):
            census.others += not member.isdir() and suffix.lower() not in (*SIDECARS, ".txt")
            continue
        key = name if stem in keys else stem
        if name in names:
            key = next(f"{stem}#{n}" for n in range(2, len(members) + 2) if f"{stem}#{n}" not in keys)
        keys.add(key)
        names.add(name)
        beside = next((about[one, stem] for one in (turn, None) if (one, stem) in about), None)

        def content(member: tarfile.TarInfo = member) -> bytes:
            return _content(archive, member)

        names_of_it = (name,) if key == stem else (name, key)
        identity = digest(f"{uri}\0{key}")
        one = Counted(identity, f"{uri}: {key}", content, None, names=names_of_it, whole=name)
        yield from with_rows(one, described if beside is None else {}, beside or {}, reading)


def _joined(archive: tarfile.TarFile) -> Iterator[list[tarfile.TarInfo]]:
    """Yield the members of each archive that `cat` has appended to the first."""
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
    """Return the contents of a member, or of the target of a link; empty if there are none."""
    try:
        file = archive.extractfile(member)
        return file.read() if file is not None else b""
    except (KeyError, RecursionError, *DAMAGE):
        return b""


def said_by(text: bytes, suffix: str) -> dict[str, Any]:
    """Return what a sidecar says, by field name."""
    if suffix != ".json":
        return {suffix[1:]: text.decode("utf-8-sig", "replace").strip()}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
