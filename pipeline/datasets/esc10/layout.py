"""How ESC-10 lies on disk here: a folder per class and `meta/esc10.csv`, made of a copy of ESC-50."""

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
    """ESC-10 could not be had; the message says what to do."""


class Esc10Summary(NamedTuple):
    """What lies in `directory` now: `clips` in all, of which `kept` were there before."""

    directory: Path
    clips: int
    kept: int


@dataclass(frozen=True)
class Clip:
    """One row of `meta/esc10.csv`: `path` is relative to the directory, `target` is 0-9 in ESC-10's order."""

    path: str
    fold: int
    target: int
    category: str
    freesound_id: str
    take: str

    @property
    def source(self) -> str:
        """The clip's path in the ESC-50 repository."""
        return f"audio/{PurePosixPath(self.path).name}"


def lay_out(
    directory: Path,
    read: Callable[[str], bytes],
    is_whole: Callable[[Path, str], bool],
    threads: int = 1,
    on_clip: Callable[[int, int], None] | None = None,
) -> Esc10Summary:
    """Build ESC-10 in `directory` from an ESC-50 repository of which `read(path)` gives the files.

    A clip already there is kept if `is_whole(file, path in ESC-50)`; `on_clip(done, all)` follows each clip.
    `meta/esc10.csv` is written last: where it is, all clips are. Raises what `read` raises.
    """
    clips = parse_metadata(read(METADATA).decode())
    write_whole(directory / LICENSES, read(LICENSES))

    def place(clip: Clip) -> bool:
        file = directory / clip.path
        if file.is_file() and is_whole(file, clip.source):
            return True
        write_whole(file, read(clip.source))
        return False

    kept = 0
    with ThreadPoolExecutor(threads) as pool:
        try:
            for done, was_there in enumerate(pool.map(place, clips), start=1):
                kept += was_there
                if on_clip:
                    on_clip(done, len(clips))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else the first error would wait for all that is queued
            raise
    text = io.StringIO()
    writer = csv.DictWriter(text, list(asdict(clips[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(clip) for clip in clips)
    write_whole(directory / "meta" / "esc10.csv", text.getvalue().encode())
    return Esc10Summary(directory, len(clips), kept)


def parse_metadata(text: str) -> list[Clip]:
    """The ESC-10 clips of ESC-50's metadata, sorted by path; raises Esc10Error if it is not that table."""
    clips = []
    for row in csv.DictReader(io.StringIO(text)):
        if row.get("esc10") != "True":
            continue
        name, category = row["filename"], row["category"]
        if category not in CLASSES or PurePosixPath(name).name != name or not name.endswith(".wav"):
            raise Esc10Error(f"{METADATA} has an ESC-10 row of file {name!r} and category {category!r}")
        folder, label = CLASSES[category]
        target = list(CLASSES).index(category)
        clips.append(Clip(f"{folder}/{name}", int(row["fold"]), target, label, row["src_file"], row["take"]))
    if not clips:
        raise Esc10Error(f"{METADATA} has no row with esc10 = True: this is not ESC-50")
    return sorted(clips, key=lambda clip: clip.path)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is either not there or whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)
