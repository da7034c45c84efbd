"""The layout of ESC-10 on disk: a folder for each class and `meta/esc10.csv`, made from a copy of ESC-50."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from schemas.errors import LmacError

# ESC-50's name of each class -> its folder and its name in ESC-10, in ESC-10's order.
CLASSES = {
    "dog": ("001 - Dog bark", "dog_bark"),
    "rain": ("002 - Rain", "rain"),
    "sea_waves": ("003 - Sea waves", "sea_waves"),
    "crying_baby": ("004 - Baby cry", "baby_cry"),
    "clock_tick": ("005 - Clock tick", "clock_tick"),
    "sneezing": ("006 - Person sneeze", "person_sneeze"),
    "helicopter": ("007 - Helicopter", "helicopter"),
    "chainsaw": ("008 - Chainsaw", "chainsaw"),
    "rooster": ("009 - Rooster", "rooster"),
    "crackling_fire": ("010 - Fire crackling", "fire_crackling"),
}
METADATA = "meta/esc50.csv"
LICENSES = "LICENSE"


class Esc10Error(LmacError):
    """ESC-10 cannot be fetched or read; the message says what to do."""


class Esc10Summary(NamedTuple):
    """The numbers of `recordings` now in `directory`, and of those `kept` from before."""

    directory: Path
    recordings: int
    kept: int


@dataclass(frozen=True)
class Recording:
    """One row of `meta/esc10.csv`: `path` is relative to the directory, `target` is 0-9 in ESC-10's order."""

    path: str
    fold: int
    target: int
    category: str
    freesound_id: str
    take: str

    @property
    def source(self) -> str:
        """The recording's path in the ESC-50 repository."""
        return f"audio/{PurePosixPath(self.path).name}"


def lay_out(
    directory: Path,
    read: Callable[[str], bytes],
    is_whole: Callable[[Path, str], bool],
    threads: int = 1,
    on_recording: Callable[[int, int], None] | None = None,
) -> Esc10Summary:
    """Build ESC-10 in `directory` from an ESC-50 repository, whose files `read(path)` returns.

    A recording already there is kept if `is_whole(file, path in ESC-50)`; `on_recording(done, all)` is called after
    each. `meta/esc10.csv` is written last: where it exists, all recordings do. Raises what `read` raises.
    """
    recordings = parse_metadata(read(METADATA).decode())
    write_whole(directory / LICENSES, read(LICENSES))

    def place(recording: Recording) -> bool:
        file = directory / recording.path
        if file.is_file() and is_whole(file, recording.source):
            return True
        write_whole(file, read(recording.source))
        return False

    kept = 0
    with ThreadPoolExecutor(threads) as pool:
        try:
            for done, was_there in enumerate(pool.map(place, recordings), start=1):
                kept += was_there
                if on_recording:
                    on_recording(done, len(recordings))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # otherwise the first error would wait for everything queued
            raise
    text = io.StringIO()
    writer = csv.DictWriter(text, list(asdict(recordings[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(recording) for recording in recordings)
    write_whole(directory / "meta" / "esc10.csv", text.getvalue().encode())
    return Esc10Summary(directory, len(recordings), kept)


def parse_metadata(text: str) -> list[Recording]:
    """Parse ESC-10's recordings from ESC-50's metadata, sorted by path; raises Esc10Error for another table."""
    recordings = []
    for row in csv.DictReader(io.StringIO(text)):
        if row.get("esc10") != "True":
            continue
        name, category = row["filename"], row["category"]
        if category not in CLASSES or PurePosixPath(name).name != name or not name.endswith(".wav"):
            raise Esc10Error(f"{METADATA} has an ESC-10 row of file {name!r} and category {category!r}")
        folder, label = CLASSES[category]
        target = list(CLASSES).index(category)
        recordings.append(Recording(f"{folder}/{name}", int(row["fold"]), target, label, row["src_file"], row["take"]))
    if not recordings:
        raise Esc10Error(f"{METADATA} has no row with esc10 = True: this is not ESC-50")
    return sorted(recordings, key=lambda recording: recording.path)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)
