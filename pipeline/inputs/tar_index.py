"""Open a tar, and index it in a first pass: the sidecars in it, and the targets of its links."""

from __future__ import annotations

import posixpath
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from pipeline.audio.stream import LFS_POINTER
from pipeline.inputs.audio_folder import is_folder_table, names_recordings, recordings_of
from pipeline.inputs.compressed import DAMAGE, decompressed, is_compressed
from pipeline.inputs.shards import printable
from pipeline.inputs.sniff import SNIFFED_BYTES, kind_by_content
from pipeline.inputs.spelling import folded
from pipeline.inputs.suffixes import is_hidden, kind_by_name, sidecar_of, stem_of
from pipeline.inputs.table_columns import Named
from pipeline.inputs.table_rows import parse_rows
from pipeline.storage.errors import InputError
from pipeline.storage.filesystem import open_filesystem
from pipeline.storage.retrying_file import RetryingFile
from schemas.input_config import InputConfig

MAX_SIDECAR_BYTES = 16 << 20
# Errors that end the reading of a damaged archive; a compressed one may also end with an OSError.
TAR_DAMAGE = (tarfile.TarError, ValueError, OverflowError, *DAMAGE)
_CHUNK_BYTES = 1 << 20
# The longest chain of links.
_MAX_LINKS = 16


class _Member(tarfile.TarInfo):
    """A member whose archive records the error that ended its list of members, and how many archives were joined to it.

    `tarfile` itself stops silently at the end marker, at a damaged header, and where the file was truncated. If another
    archive follows an end marker, as `cat` joins them, reading goes on; anything else there is ignored.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            error.of_archive = buf[257:262] == b"ustar" or is_compressed(bytes(buf[:16]))  # type: ignore[attr-defined]
            raise

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> _Member:
        marker: Exception | None = None
        while True:
            try:
                member = super().fromtarfile(tarfile)
            except _END_MARKER as error:
                marker = error
                continue
            except Exception as error:
                other = isinstance(error, _HEADER) and not getattr(error, "of_archive", False)
                last = marker if marker is not None and other else error
                tarfile.last_error = last  # type: ignore[attr-defined]
                raise last from None
            tarfile.joined = joined_of(tarfile) + (marker is not None)  # type: ignore[attr-defined]
            return member


# `_Member` names its parameter `tarfile`, as tarfile does, which hides the module.
_END_MARKER: type[Exception] = tarfile.EOFHeaderError  # type: ignore[attr-defined]
_HEADER = tarfile.HeaderError


def joined_of(archive: tarfile.TarFile) -> int:
    """Return how many archives were joined to the first up to the member read last."""
    return getattr(archive, "joined", 0)


@contextmanager
def open_tar(url: str, what: str, offset: int = 0) -> Iterator[tuple[tarfile.TarFile, bool]]:
    """Open a tar, compressed or not, at a member's offset; yields the archive and whether it is seekable.

    Raises OSError if it cannot be read, and one of `TAR_DAMAGE` if it is not a tar.
    """
    fs, path = open_filesystem(url)
    with RetryingFile(fs, path, what) as file:
        head = file.read(SNIFFED_BYTES)
        if head.startswith(LFS_POINTER):
            raise tarfile.ReadError("it is a Git LFS pointer, not the archive itself: run `git lfs pull`")
        file.seek(offset)
        stream: Any = decompressed(file, head) if is_compressed(head) else file
        with tarfile.open(
            fileobj=stream,
            mode="r:" if stream is file else "r|",
            bufsize=_CHUNK_BYTES,
            tarinfo=_Member,
            encoding="utf-8",
            errors="surrogateescape",
        ) as archive:
            yield archive, stream is file


def members_of(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """Yield an archive's members with their names, holding none of them."""
    while (member := archive.next()) is not None:
        # Else the archive keeps every member it has read.
        archive.members.clear()  # type: ignore[attr-defined]
        yield member, posixpath.normpath(member.name)


def end_of(archive: tarfile.TarFile) -> str:
    """Return what is wrong with the end of an archive that was read through; empty when nothing is."""
    error = getattr(archive, "last_error", None)
    if isinstance(error, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
        return ""
    if isinstance(error, tarfile.EmptyHeaderError):  # type: ignore[attr-defined]
        return "it stops without the end-of-archive marker"
    return f"a header in it is damaged ({error})"


class TarIndex:
    """The index of an archive, as far as it can be read: what belongs to a recording need not lie beside it."""

    def __init__(self, url: str, what: str, reading: InputConfig) -> None:
        self.seekable = False
        self._url, self._what, self._reading = url, what, reading
        self._sidecars: dict[str, list[str]] = defaultdict(list)
        self._texts: dict[str, bytes | None] = {}
        self._sounds: set[str] = set()
        self._stems: set[str] = set()
        self._keys: set[str] = set()
        self._tables: dict[str, bytes] = {}
        self._broken: dict[str, str] = {}
        self._places: dict[str, int] = {}
        self._links: dict[str, str] = {}
        try:
            with open_tar(url, what) as (archive, self.seekable):
                for member, name in members_of(archive):
                    if not is_hidden(name):
                        self._add(archive, member, name)
        except (*TAR_DAMAGE, OSError):
            # The reader of the archive reports what is wrong with it.
            pass

    def _add(self, archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
        if member.islnk() or member.issym():
            self._links[name] = _target(member, name)
        elif member.isreg():
            self._places[name] = member.offset
        else:
            return
        if (about := sidecar_of(name)) is not None:
            self._sidecars[about].append(name)
            if member.isreg():
                self._texts[name] = sidecar_bytes(archive, member)
        elif is_folder_table(name) and member.isreg() and member.size <= MAX_SIDECAR_BYTES:
            self._tables[name] = content(archive, member)
        elif self._is_sound(archive, member, name):
            self._sounds.add(name)
            self._stems.add(stem_of(name))
            self._keys.add(_webdataset_key(name))

    def _is_sound(self, archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> bool:
        kind = kind_by_name(name)
        if kind is None and member.isreg():
            kind = "audio" if kind_by_content(content(archive, member, SNIFFED_BYTES)) == "audio" else "other"
        return kind == "audio"

    def is_used(self, about: str) -> bool:
        """Whether a sidecar about this name belongs to a sound of the archive."""
        of_key = "." not in posixpath.basename(about) and about in self._keys
        return of_key or about in self._sounds or about in self._stems

    def sidecars_of(self, name: str) -> list[tuple[str, bytes | None]]:
        """Return a sound's sidecars: by its name with or without suffix, else by its name up to the first dot."""
        stem, key = stem_of(name), _webdataset_key(name)
        found = [*self._sidecars.get(stem, ()), *(self._sidecars.get(name, ()) if name != stem else ())]
        if not found and key not in self._stems:
            found = self._sidecars.get(key, [])
        return [(posixpath.basename(one), self.text(one)) for one in found]

    @cached_property
    def _described(self) -> tuple[dict[str, Named], frozenset[str]]:
        """What tables of folders say about recordings, by folded name, and the folders that have such tables."""
        found: dict[str, Named] = {}
        folders = set()
        for path in sorted(self._tables, key=lambda path: (path.count("/"), path)):
            folder, shown = posixpath.dirname(path), printable(path)
            try:
                named = recordings_of(
                    parse_rows(self._tables[path], shown, self._reading), folder, shown, self._reading
                )
            except InputError as error:
                named = {}
                if names_recordings(self._tables[path]):
                    self._broken[folder] = str(error)
            if self._broken.get(folder) or any(folded(sound) in named for sound in self._sounds):
                folders.add(folder)
                found |= named
        return found, frozenset(folders)

    def described(self, name: str) -> tuple[Named, bool]:
        """Return what a table in its folder, or in one above, says about a sound; and whether there is such a table."""
        found, folders = self._described
        row, above = found.get(folded(name), Named(0)), [posixpath.dirname(name)]
        while (folder := posixpath.dirname(above[-1])) != above[-1]:
            above.append(folder)
        broken = [self._broken[one] for one in above if one in self._broken]
        return Named(0, {"metadata_error": broken[0]}) if broken else row, not folders.isdisjoint(above)

    def text(self, name: str) -> bytes | None:
        """Return a sidecar's contents, following links; None if there is none, or it is absurdly large."""
        return self._texts.get(self._followed(name) or "")

    def linked(self, name: str, max_bytes: int) -> bytes | int:
        """Return the contents of the member that a link leads to or, if they exceed `max_bytes`, their size.

        Raises FileNotFoundError if it leads out of the archive, or the archive is not seekable.
        """
        target = self._followed(name)
        if target is None:
            raise FileNotFoundError(f"it is a link to {self._links.get(name)!r}, which is no file of the archive")
        if not self.seekable:
            raise FileNotFoundError(
                "it is a link inside a compressed archive: unpack the archive, or leave it uncompressed"
            )
        with open_tar(self._url, self._what, self._places[target]) as (archive, _):
            member = archive.next()
            if member is None or member.size > max_bytes:
                return member.size if member is not None else 0
            return content(archive, member)

    def _followed(self, name: str) -> str | None:
        for _ in range(_MAX_LINKS):
            if name in self._places:
                return name
            if name not in self._links:
                return None
            name = self._links[name]
        return None


def content(archive: tarfile.TarFile, member: tarfile.TarInfo, size: int = -1) -> bytes:
    """Return the first `size` bytes of a regular member, or all of them."""
    file = archive.extractfile(member)
    assert file is not None, "a regular member always has contents"
    return file.read(size) if size >= 0 else file.read()


def check_whole(archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    """Raise tarfile.ReadError if the archive ends inside a member that is not read."""
    if member.size == 0 or member.issparse():
        return
    file = archive.extractfile(member)
    assert file is not None, "a regular member always has contents"
    if isinstance(archive.fileobj, RetryingFile):
        file.seek(member.size - 1)
        file.read(1)
    else:
        while file.read(_CHUNK_BYTES):
            pass


def sidecar_bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    """Return a sidecar's contents; None for one that is absurdly large."""
    return content(archive, member) if member.size <= MAX_SIDECAR_BYTES else None


def _webdataset_key(name: str) -> str:
    folder, base = posixpath.split(name)
    return posixpath.join(folder, base.partition(".")[0])


def _target(member: tarfile.TarInfo, name: str) -> str:
    # A symbolic link counts from its own folder, a hard one from the archive's root.
    folder = posixpath.dirname(name) if member.issym() else ""
    return posixpath.normpath(posixpath.join(folder, member.linkname))
