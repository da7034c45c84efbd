"""A path, a folder or a glob pattern -> its files."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fsspec import AbstractFileSystem

from pipeline.inputs.suffixes import is_hidden
from pipeline.storage.errors import InputError, storage_errors
from pipeline.storage.filesystem import GLOB, display_url, is_local, is_url, open_filesystem, split_parent
from pipeline.storage.retry import retrying


@dataclass(frozen=True)
class Found:
    """The root URL and, by paths relative to it, the size in bytes of each file; `hidden` files are left out.

    The root is the folder itself, a single file's folder, or a pattern's last folder without glob characters.
    `left_out` counts folders that were not entered, by reason.
    """

    root_url: str
    sizes: dict[str, int]
    hidden: tuple[str, ...] = ()
    left_out: Counter[str] = field(default_factory=Counter)


def find_files(url: str) -> Found:
    """Return the files of a folder at any depth, those that a pattern matches, or a single one.

    Links to folders are followed, except to a folder that they lie in. Hidden files and folders below the root are
    left out, but a single file may be hidden.
    Raises InputError when nothing is there, StorageError when the storage cannot be listed.
    """
    fs, path = open_filesystem(url)
    base = url.rstrip("/") if is_url(url) else path
    what = f"listing {display_url(url)}"
    with storage_errors(what):
        try:
            return _find(fs, path, base, what)
        except FileNotFoundError as error:
            raise InputError(f"{display_url(url)}: it does not exist: check its path") from error


def _find(fs: AbstractFileSystem, path: str, base: str, what: str) -> Found:
    left_out: Counter[str] = Counter()
    magic = GLOB.search(base)
    if magic and not retrying(lambda: fs.exists(path), what=what):
        root_url = split_parent(base[: magic.start()])[0] or "/"
        return _below(root_url, _glob(fs, path, what, left_out), left_out)
    info = retrying(lambda: fs.info(path), what=what)
    # On a disk, a link to a folder is a folder, whatever fsspec calls it.
    if info["type"] != "directory" and not (is_local(fs) and os.path.isdir(path)):
        root_url, name = split_parent(base)
        return Found(root_url or "/", {name: int(info["size"] or 0)})
    return _below(base, _folder(fs, path, what, left_out), left_out)


def _glob(fs: AbstractFileSystem, pattern: str, what: str, left_out: Counter[str]) -> dict[str, int]:
    """Return the files that a pattern matches; a matched folder stands for all files in it."""
    found: dict[str, int] = {}
    matches: Mapping[str, Any] = retrying(lambda: fs.glob(pattern, detail=True), what=what)
    for path, info in matches.items():
        if info["type"] == "directory" or (is_local(fs) and os.path.isdir(path)):
            found |= _folder(fs, path, what, left_out)
        else:
            found[path] = int(info.get("size") or 0)
    return found


def _folder(fs: AbstractFileSystem, path: str, what: str, left_out: Counter[str]) -> dict[str, int]:
    if is_local(fs):
        return dict(_walk(path, left_out))
    # In object storage a folder may be there as an empty object.
    found: Mapping[str, Any] = retrying(partial(fs.find, path, detail=True), what=what)
    return {name: int(info.get("size") or 0) for name, info in found.items() if not name.endswith("/")}


def _walk(root: str, left_out: Counter[str]) -> Iterator[tuple[str, int]]:
    """Yield the files below a folder of this machine, through links to folders as well."""
    top = os.stat(root)
    # Each folder with those that it lies in, to detect a link back to one of them.
    todo = [(root, frozenset({(top.st_dev, top.st_ino)}))]
    while todo:
        folder, above = todo.pop()
        try:
            entries = list(os.scandir(folder))
        except PermissionError:
            left_out["unreadable folder"] += 1
            continue
        for entry in entries:
            try:
                info = entry.stat()
            except OSError:
                # A link to nothing: reading it will say so.
                yield entry.path, 0
                continue
            if not stat.S_ISDIR(info.st_mode):
                yield entry.path, info.st_size
            elif (info.st_dev, info.st_ino) in above:
                left_out["link back to a folder that it lies in"] += 1
            else:
                todo.append((entry.path, above | {(info.st_dev, info.st_ino)}))


def _below(root_url: str, found: Mapping[str, int], left_out: Counter[str]) -> Found:
    root = open_filesystem(root_url)[1].rstrip("/") + "/"
    sizes = {path.removeprefix(root): size for path, size in found.items()}
    hidden = tuple(sorted(path for path in sizes if is_hidden(path)))
    for path in hidden:
        del sizes[path]
    sizes.pop("", None)
    return Found(root_url, sizes, hidden, left_out)
