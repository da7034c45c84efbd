"""The corpus on disk: a folder of loose files, tars and Parquet files, and a manifest."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from tests.audio.make import tone
from tests.bad_input.archives import bad_parquets, bad_tars
from tests.bad_input.names import FILE_NAMES
from tests.bad_input.recordings import bad_clips
from tests.bad_input.sound import RATE
from tests.bad_input.steady import encode


@dataclass(frozen=True)
class Corpus:
    """Where the corpus lies: two inputs, and how many files each has."""

    folder: Path
    manifest: Path
    files: int
    rows: int


def write_corpus(folder: Path, seed: int, every: int = 1) -> Corpus:
    """Write the corpus, or of the damaged recordings each `every`-th, below an empty folder."""
    good = encode(tone(440, 0.4, RATE), RATE, "WAV", "PCM_16")
    source = folder / "input"
    contents = dict(list(bad_clips(seed).items())[::every])
    _write(source / "recordings", {os.fsencode(name): data for name, data in contents.items()})
    _write(source / "names", dict.fromkeys(FILE_NAMES, good))
    _write(source / "tars", {os.fsencode(name): data for name, data in bad_tars(good, seed).items()})
    _write(source / "tables", {os.fsencode(name): data for name, data in bad_parquets(good, seed).items()})
    _write_odd_files(source / "odd", good)
    (folder / "outside.wav").write_bytes(good)
    rows = _manifest(folder / "manifest", good)
    files = sum(len(names) for _, _, names in os.walk(source))
    return Corpus(source, folder / "manifest" / "recordings.csv", files, rows)


def _write(folder: Path, contents: dict[bytes, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, data in contents.items():
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(data)


def _write_odd_files(folder: Path, good: bytes) -> None:
    """What is named as recordings are, and is none: links, pipes, sockets' kin, and folders."""
    folder.mkdir()
    (folder / "sound.wav").write_bytes(good)
    (folder / "link.wav").symlink_to("sound.wav")
    (folder / "dangling.wav").symlink_to("nowhere.wav")
    (folder / "loop.wav").symlink_to("loop.wav")
    (folder / "folder.wav").mkdir()
    (folder / "folder.wav" / "within.wav").write_bytes(good)
    os.mkfifo(folder / "pipe.wav")


def _manifest(folder: Path, good: bytes) -> int:
    """Write a manifest of odd names; return how many recordings it lists."""
    folder.mkdir()
    (folder / "there.wav").write_bytes(good)
    (folder / "sub").mkdir()
    (folder / "sub" / "new\nline.wav").write_bytes(good)
    uris = [
        "there.wav",
        "missing.wav",
        "sub/new line.wav",
        "../outside.wav",
        "./there.wav",
        "sub",
        "x" * 1000 + ".wav",
    ]
    uris += [
        "/nowhere/at/all.wav",
        "nul\0.wav",
        "\U0001f415.wav",
        "a/../../b.wav",
        "recordings.csv",
        "file:///nowhere.wav",
    ]
    with open(folder / "recordings.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        writer.writerows((uri, f"label {number}") for number, uri in enumerate(uris))
    # "./there.wav" is there.wav again, and one recording with both labels.
    return len(uris) - 1
