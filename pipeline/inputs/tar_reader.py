"""Read tars, as WebDataset and others write them, from front to back: files that share a name are one recording."""

from __future__ import annotations

import posixpath
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, Any

from pipeline.audio.ranges import StoredAudio
from pipeline.inputs.metadata import parse_sidecar
from pipeline.inputs.recording import MAX_CLIP_BYTES, RawRecording, ReadFault, ReadReason, os_reason, too_large
from pipeline.inputs.shards import NOT_DRAWN, Shard, clip_id, printable, unused_name
from pipeline.inputs.sniff import SNIFFED_BYTES, kind_by_content
from pipeline.inputs.stored_file import HELD_BYTES, StoredFile
from pipeline.inputs.suffixes import is_audio, is_hidden, kind_by_name, sidecar_of, stem_of, suffix_of
from pipeline.inputs.table_columns import Named
from pipeline.inputs.tar_index import (
    TAR_DAMAGE,
    TarIndex,
    check_whole,
    content,
    end_of,
    joined_of,
    members_of,
    open_tar,
    sidecar_bytes,
)
from pipeline.storage.filesystem import resolve
from pipeline.storage.retrying_file import RetryingFile


@dataclass
class _Sound:
    """A sound of the archive; `data` is None if it is not read, and `fault` says why if it cannot be."""

    name: str
    key: str
    identity: str
    size: int
    data: bytes | StoredAudio | None = None
    fault: tuple[ReadReason, str] | None = None
    drawn: bool = True


@dataclass
class _Group:
    """Adjacent members that share a name without suffix; sidecars with the name that they are about.

    They belong to one archive, the `joined`-th after the first.
    """

    stem: str
    joined: int
    sounds: list[_Sound] = field(default_factory=list)
    sidecars: list[tuple[str, str, bytes | None]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def goes_on(self, stem: str, joined: int, name: str) -> bool:
        """Whether a member belongs to this group: one whose exact name is there already begins another."""
        return (self.stem, self.joined) == (stem, joined) and name not in self.names


def read_tar(
    root_url: str,
    shard: Shard,
    start: int = 0,
    max_clip_bytes: int = MAX_CLIP_BYTES,
    want: Callable[[str], bool] | None = None,
    left_out: Counter[str] | None = None,
) -> Iterator[RawRecording | ReadFault]:
    """Yield a tar's recordings in the order in which they lie in it, from ordinal `start`.

    Every member that is audio is a recording, with the sidecars of its name (without the longest known suffix),
    wherever they lie in the archive. Links to members are followed. Only those whose `clip_id` `want` accepts are read;
    members that belong to no recording are counted in `left_out` by kind. If the archive is damaged or truncated, what
    came before is yielded, and then one fault for the rest.
    """
    reader = _TarReader(root_url, shard, start, max_clip_bytes, want, Counter() if left_out is None else left_out)
    yield from (item for _, item in reader.items() if item is not None and item.ordinal >= start)


def names_in_tar(root_url: str, shard: Shard) -> Iterator[tuple[str, str, str]]:
    """Yield the `clip_id`, the key and the file's own name of every recording of a tar; no audio is read."""
    reader = _TarReader(root_url, shard, 0, MAX_CLIP_BYTES, lambda identity: False, Counter())
    for sound, _ in reader.items():
        if sound is not None:
            yield sound.identity, printable(sound.key), _shown_name(sound)


_Item = tuple[_Sound | None, RawRecording | ReadFault | None]


class _TarReader:
    def __init__(
        self,
        root_url: str,
        shard: Shard,
        start: int,
        max_clip_bytes: int,
        want: Callable[[str], bool] | None,
        left_out: Counter[str],
    ) -> None:
        self._shard, self._start, self._max_bytes, self._want = shard, start, max_clip_bytes, want
        self._held = min(HELD_BYTES, max_clip_bytes)
        self._left_out = left_out
        self._url, self._shown = resolve(root_url, shard.uri), printable(shard.uri)
        self._keys: set[str] = set()
        self._names: set[str] = set()
        self._ordinal = 0
        # A member whose first bytes were read to see what it is: a compressed archive can be read only once.
        self._begun: tuple[bytes, IO[bytes]] | None = None

    @cached_property
    def _index(self) -> TarIndex:
        # Made only if needed: an archive whose sidecars lie beside their recordings is read once.
        return TarIndex(self._url, f"reading {self._shown}", self._shard.reading)

    def items(self) -> Iterator[_Item]:
        """Yield each sound with its recording, or its fault, or None if it is not wanted; other faults alone."""
        group: _Group | None = None
        damage = ""
        try:
            with open_tar(self._url, f"reading {self._shown}") as (archive, seekable):
                try:
                    for member, name in members_of(archive):
                        stem = self._stem(archive, member, name)
                        if stem is None:
                            continue
                        if group is None or not group.goes_on(stem, joined_of(archive), name):
                            if group is not None:
                                yield from self._flush(group)
                            group = _Group(stem, joined_of(archive))
                        self._take(group, archive, member, name)
                    damage = end_of(archive)
                except OSError as error:
                    if seekable:
                        raise
                    damage = f"the archive is damaged or cut short ({error})"
        except TAR_DAMAGE as error:
            damage = f"the archive is damaged or cut short ({error})"
        except OSError as error:
            reason, words = os_reason(error)
            yield None, self._fault(reason, words, clip_id(self._shard.uri))
            return
        if group is not None and (group.sounds or not damage):
            yield from self._flush(group)
        if damage:
            reason = "shard_truncated" if self._ordinal else "shard_unreadable"
            words = f"{damage}; what came after its first {self._ordinal} recordings is lost"
            yield None, self._fault(reason, words, clip_id(f"{self._shard.uri}\0\0"))

    def _stem(self, archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> str | None:
        """Return the name that a member's group shares; if it belongs to no recording, count it and return None."""
        if member.isdir():
            return None
        link = member.islnk() or member.issym()
        if is_hidden(name):
            kind = "hidden"
        elif not (link or member.isreg()):
            kind = "pipe, socket or device"
        elif (about := sidecar_of(name)) is not None:
            return stem_of(about) if is_audio(about) else about
        else:
            kind = kind_by_name(name) or ("link" if link else self._kind_by_content(archive, member))
            if kind == "audio":
                return stem_of(name)
            kind = suffix_of(name) if kind in ("other", "tar", "parquet") else kind
        self._left_out[kind] += 1
        return None

    def _kind_by_content(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
        file = archive.extractfile(member)
        assert file is not None, "a regular member always has contents"
        head = file.read(SNIFFED_BYTES)
        self._begun = head, file
        return kind_by_content(head)

    def _take(self, group: _Group, archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
        begun, self._begun = self._begun, None
        group.names.add(name)
        if (about := sidecar_of(name)) is not None:
            text = sidecar_bytes(archive, member) if member.isreg() else self._index.text(name)
            group.sidecars.append((about, posixpath.basename(name), text))
            return
        key = self._key(name)
        sound = _Sound(name, key, clip_id(f"{self._shard.uri}\0{key}"), member.size)
        group.sounds.append(sound)
        sound.drawn = self._shard.draws(sound.identity)
        ordinal = self._ordinal + len(group.sounds) - 1
        read = sound.drawn and ordinal >= self._start and (self._want is None or self._want(sound.identity))
        try:
            data: bytes | StoredAudio | int
            if not member.isreg():
                data = self._index.linked(name, self._max_bytes) if read else b""
            elif read and self._is_read_by_ranges(archive, member):
                check_whole(archive, member)
                data = StoredFile(self._url, self._shown, member.size, member.offset_data)
            elif begun is not None and member.size <= self._max_bytes:
                data = begun[0] + begun[1].read()
            elif read and member.size <= self._max_bytes:
                data = content(archive, member)
            else:
                data = member.size
                if begun is None:
                    check_whole(archive, member)
        except FileNotFoundError as error:
            sound.fault = "missing", str(error)
            return
        except Exception:
            # If the archive ends inside a member, that recording does not exist.
            group.sounds.pop()
            raise
        if not read:
            return
        if isinstance(data, int):
            sound.size, sound.fault = data, ("too_large", too_large(data, self._max_bytes))
        else:
            sound.data, sound.size = data, len(data) if isinstance(data, bytes) else data.size_bytes

    def _is_read_by_ranges(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> bool:
        """Whether a member is too large to hold, and lies in one piece in a seekable archive."""
        seekable = isinstance(archive.fileobj, RetryingFile)
        return seekable and member.size > self._held and not member.issparse()

    def _key(self, name: str) -> str:
        """Return the name without suffix or, if another sound has that, the whole name; numbered if it is taken."""
        stem = stem_of(name)
        key = stem if stem not in self._keys else name
        if name in self._names:
            key = unused_name(stem, self._keys)
        self._names.add(name)
        self._keys.add(key)
        return key

    def _flush(self, group: _Group) -> Iterator[_Item]:
        if not group.sounds:
            for about in dict.fromkeys(about for about, *_ in group.sidecars):
                if not self._index.is_used(about):
                    key = unused_name(about, self._keys)
                    self._keys.add(key)
                    identity = clip_id(f"{self._shard.uri}\0{key}")
                    words = f"{printable(key)}: none of its members is audio"
                    yield None, self._fault("no_audio", words, identity, key, 0)
        for sound in group.sounds:
            if sound.fault is not None:
                reason, words = sound.fault
                words = f"{printable(sound.key)}: {words}"
                yield sound, self._fault(reason, words, sound.identity, sound.key, sound.size)
                continue
            if sound.data is None:
                if not sound.drawn:
                    self._left_out[NOT_DRAWN] += 1
                self._ordinal += 1
                yield sound, None
                continue
            key, name = printable(sound.key), _shown_name(sound)
            sidecars = self._sidecars(group, sound)
            row, described = (Named(0), False) if sidecars else self._index.described(sound.name)
            metadata, segments = row.metadata() | sidecars, row.segments(sound.identity)
            folder = "" if described else posixpath.basename(posixpath.dirname(key))
            yield (
                sound,
                RawRecording(self._next(), sound.identity, key, name, sound.data, metadata, segments, folder),
            )

    def _sidecars(self, group: _Group, sound: _Sound) -> dict[str, Any]:
        beside = [(name, text) for about, name, text in group.sidecars if about in (group.stem, sound.name)]
        metadata: dict[str, Any] = {}
        for name, text in beside or self._index.sidecars_of(sound.name):
            shown = printable(name)
            unread = {"metadata_error": f"{shown} is too large, or a link to what is not in the archive"}
            metadata |= parse_sidecar(text, shown) if text is not None else unread
        return metadata

    def _fault(
        self, reason: ReadReason, words: str, identity: str, key: str | None = None, size: int | None = None
    ) -> ReadFault:
        shown = self._shown if key is None else printable(key)
        size = self._shard.size_bytes if size is None else size
        return ReadFault(self._next(), identity, shown, reason, f"{self._shown}: {words}", size)

    def _next(self) -> int:
        self._ordinal += 1
        return self._ordinal - 1


def _shown_name(sound: _Sound) -> str:
    return printable(posixpath.basename(sound.name))
