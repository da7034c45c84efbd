"""A path, a folder or a glob pattern -> the files in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from fsspec import AbstractFileSystem

from pipeline.inputs.suffixes import is_hidden
from pipeline.storage.errors import InputError, storage_errors
from pipeline.storage.filesystem import GLOB, display_url, is_url, open_filesystem, split_parent
from pipeline.storage.retry import retrying


def find_files(url: str) -> tuple[str, dict[str, int]]:
    """Return the root URL, and the size in bytes of each file found, by its path relative to that root.

    The root is the folder itself, a single file's folder, or a pattern's last folder without glob characters.
    Hidden files and folders below it are left out, but a single file may be hidden.
    Raises InputError when nothing is there, StorageError when the storage does not let one look.
    """
    fs, path = open_filesystem(url)
    base = url.rstrip("/") if is_url(url) else path
    what = f"listing {display_url(url)}"
    with storage_errors(what):
        try:
            return _find(fs, path, base, what)
        except FileNotFoundError as error:
            raise InputError(f"{display_url(url)}: it does not exist") from error


def _find(fs: AbstractFileSystem, path: str, base: str, what: str) -> tuple[str, dict[str, int]]:
    magic = GLOB.search(base)
    if magic and not retrying(lambda: fs.exists(path), what=what):
        root_url = split_parent(base[: magic.start()])[0] or "/"
        return root_url, _below(root_url, _glob(fs, path, what))
    info = retrying(lambda: fs.info(path), what=what)
    if info["type"] != "directory":
        root_url, name = split_parent(base)
        return root_url or "/", {name: int(info["size"] or 0)}
    return base, _below(base, retrying(lambda: fs.find(path, detail=True), what=what))


def _glob(fs: AbstractFileSystem, pattern: str, what: str) -> dict[str, Mapping[str, Any]]:
    """Return what a pattern matches; a folder that it matches stands for all that is in it."""
    found: dict[str, Mapping[str, Any]] = {}
    for path, info in retrying(lambda: fs.glob(pattern, detail=True), what=what).items():
        if info["type"] == "directory":
            found |= retrying(partial(fs.find, path, detail=True), what=what)
        else:
            found[path] = info
    return found


def _below(root_url: str, found: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    root = open_filesystem(root_url)[1].rstrip("/") + "/"
    sizes = {path.removeprefix(root): int(info.get("size") or 0) for path, info in found.items()}
    return {path: size for path, size in sizes.items() if path and not is_hidden(path)}
