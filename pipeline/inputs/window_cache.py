"""Keep a set of windows on disk, so that an interrupted training need not decode its input again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.inputs.window_file import DIGEST_BYTES, MappedWindows
from pipeline.inputs.window_set import WindowSet

SAMPLES, ROWS, INDEX, PARTIAL = "windows.i16", "windows.npy", "windows.json", "windows.partial"
CACHE_FILES = (SAMPLES, ROWS, INDEX, PARTIAL)

# Caches written by other versions are rebuilt.
_VERSION = 1
_ROW = np.dtype([("row", "<i8"), ("recording", "<i8"), ("digest", "u1", DIGEST_BYTES)])
_OF_RECORDINGS = ("keys", "labels", "metadata", "classes", "skipped", "about", "files")

LeftOut = list[tuple[str, str]]


def cache_key(settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all that decides which windows a set has: the listing's digest and every setting."""
    words = json.dumps([_VERSION, settings], sort_keys=True)
    return hashlib.sha256(words.encode()).hexdigest()


def write_cache(folder: Path, key: str, windows: WindowSet, left_out: LeftOut) -> None:
    """Write all but the samples, which are in the folder already, and which recordings were left out."""
    assert windows.rows is not None
    assert windows.digests is not None
    table = np.empty(len(windows), _ROW)
    table["row"], table["recording"], table["digest"] = windows.rows, windows.recording_index, windows.digests
    np.save(folder / ROWS, table)
    words = {"key": key, "left_out": left_out, **{name: getattr(windows, name) for name in _OF_RECORDINGS}}
    with (folder / PARTIAL).open("w", encoding="utf-8") as file:
        json.dump(words, file)
    # Last: if the index is there, everything is.
    os.replace(folder / PARTIAL, folder / INDEX)


def read_cache(folder: Path, key: str, n_samples: int) -> tuple[WindowSet, LeftOut] | None:
    """Return the windows cached under a key, and the recordings left out, with reasons; None if there are none.

    An index of other windows is removed, as their samples will be.
    """
    index = folder / INDEX
    if not index.exists():
        return None
    words = json.loads(index.read_text(encoding="utf-8"))
    if words["key"] != key:
        index.unlink()
        return None
    table = np.load(folder / ROWS, allow_pickle=False)
    samples = MappedWindows(folder / SAMPLES, int(table["row"].max()) + 1, n_samples)
    windows = WindowSet(
        samples,
        table["recording"],
        tuple(words["keys"]),
        tuple(tuple(labels) for labels in words["labels"]),
        tuple(words["metadata"]),
        tuple(words["classes"]),
        words["skipped"],
        words["about"],
        tuple(words["files"]),
        table["row"],
        table["digest"],
    )
    return windows, [(key, reason) for key, reason in words["left_out"]]
