"""WebDataset tars, read from front to back without ever holding more than one recording."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.inputs.metadata import parse_sidecar
from pipeline.inputs.recording import MAX_CLIP_BYTES, RawRecording, ReadFault, ReadReason, os_reason, too_large
from pipeline.inputs.shards import Shard, clip_id, printable
from pipeline.inputs.suffixes import is_audio, is_hidden
from pipeline.storage.filesystem import open_filesystem, resolve
from pipeline.storage.retrying_file import RetryingFile

_CHUNK_BYTES = 1 << 20
_MAX_SIDECAR_BYTES = 16 << 20
_TEXT_SUFFIXES = (".txt", ".cls")


class _Member(tarfile.TarInfo):
    """A member whose archive keeps the error with which its list of members ended.

    `tarfile` ends in the same silence at the end marker, at a damaged header, and where the file was cut.
    """

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> _Member:
        try:
            return super().fromtarfile(tarfile)
        except Exception as error:
            tarfile.last_error = error  # type: ignore[attr-defined]
            raise


@dataclass
class _Group:
    """The members of one recording: those that share the path up to the first dot of the base name."""

    prefix: str
    key: str
    name: str = ""
    data: bytes | None = None
    size: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)


def read_tar(
    root_url: str, shard: Shard, start: int, max_clip_bytes: int = MAX_CLIP_BYTES
) -> Iterator[RawRecording | ReadFault]:
    """Yield a tar's recordings in the order in which they lie in it, from ordinal `start`.

    The audio is the first member of a recording with an audio suffix; `.json`, `.txt` and `.cls` become metadata.
    Where the archive is damaged or cut short, what came before is yielded, and then one fault for the rest.
    """
    shown = printable(shard.uri)
    fs, path = open_filesystem(resolve(root_url, shard.uri))
    try:
        stream = RetryingFile(fs, path, f"reading {shown}")
    except OSError as error:
        reason, words = os_reason(error)
        if start == 0:
            yield ReadFault(0, clip_id(shard.uri), shown, reason, f"{shown}: {words}", shard.size_bytes)
        return
    ordinal, damage = 0, ""
    with stream:
        for item in _groups(stream, max_clip_bytes):
            if isinstance(item, str):
                damage = item
                break
            # The bytes before `start` have to be read in any case: a tar has no index.
            if ordinal >= start:
                yield _clip(item, ordinal, shard.uri, max_clip_bytes)
            ordinal += 1
    if damage and ordinal >= start:
        reason = "shard_truncated" if ordinal else "shard_unreadable"
        message = f"{shown}: {damage}; what came after its first {ordinal} recordings is lost"
        yield ReadFault(ordinal, clip_id(f"{shard.uri}\0\0"), shown, reason, message, shard.size_bytes)


def _groups(stream: RetryingFile, max_clip_bytes: int) -> Iterator[_Group | str]:
    """Yield the archive's recordings, and last, where it did not end as an archive ends, what is wrong with it."""
    group: _Group | None = None
    seen: set[str] = set()
    damage = ""
    try:
        with tarfile.open(
            fileobj=stream,
            mode="r|",
            bufsize=_CHUNK_BYTES,
            tarinfo=_Member,
            encoding="utf-8",
            errors="surrogateescape",
        ) as archive:
            while (member := archive.next()) is not None:
                # Else the archive keeps every member it has met.
                archive.members.clear()  # type: ignore[attr-defined]
                name = posixpath.normpath(member.name)
                if not member.isreg() or is_hidden(name):
                    continue
                prefix, suffix = _split(name)
                if group is None or group.prefix != prefix:
                    if group is not None:
                        yield group
                    group = _Group(prefix, _unused(prefix, seen))
                _take(group, archive, member, suffix, max_clip_bytes)
            damage = _end(archive)
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        damage = f"the archive is damaged or cut short ({error})"
        if group is not None and group.data is None and not group.size:
            group = None
    if group is not None:
        yield group
    if damage:
        yield damage


def _take(group: _Group, archive: tarfile.TarFile, member: tarfile.TarInfo, suffix: str, max_clip_bytes: int) -> None:
    extension = posixpath.splitext(suffix)[1].lower()
    if is_audio(suffix):
        if not group.name and member.size <= max_clip_bytes:
            group.data = _content(archive, member)
        if not group.name:
            group.name, group.size = posixpath.basename(member.name), member.size
    elif extension == ".json" and member.size <= _MAX_SIDECAR_BYTES:
        name = printable(posixpath.basename(member.name))
        group.metadata |= parse_sidecar(_content(archive, member), name)
    elif extension in _TEXT_SUFFIXES and member.size <= _MAX_SIDECAR_BYTES:
        group.metadata[extension[1:]] = _content(archive, member).decode("utf-8", "replace").strip()


def _clip(group: _Group, ordinal: int, uri: str, max_clip_bytes: int) -> RawRecording | ReadFault:
    identity, key = clip_id(f"{uri}\0{group.key}"), printable(group.key)
    if group.data is not None:
        return RawRecording(ordinal, identity, key, printable(group.name), group.data, group.metadata)
    reason: ReadReason = "too_large" if group.name else "no_audio"
    words = too_large(group.size, max_clip_bytes) if group.name else "none of its members is audio"
    return ReadFault(ordinal, identity, key, reason, f"{printable(uri)}: {key}: {words}", group.size)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None, "a regular member always has contents"
    return file.read()


def _split(name: str) -> tuple[str, str]:
    """Split a member's path as WebDataset does, at the first dot of the base name; the dot goes to the suffix."""
    folder, base = posixpath.split(name)
    stem, dot, suffix = base.partition(".")
    return posixpath.join(folder, stem), f"{stem}{dot}{suffix}"


def _unused(prefix: str, seen: set[str]) -> str:
    key, copies = prefix, 1
    while key in seen:
        copies += 1
        key = f"{prefix}#{copies}"
    seen.add(key)
    return key


def _end(archive: tarfile.TarFile) -> str:
    """Return what is wrong with the archive's end; empty when nothing is."""
    error = getattr(archive, "last_error", None)
    if isinstance(error, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
        return ""
    if isinstance(error, tarfile.EmptyHeaderError):  # type: ignore[attr-defined]
        return "it stops without the end-of-archive marker"
    return f"a header in it is damaged ({error})"
