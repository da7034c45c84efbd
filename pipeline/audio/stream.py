"""A recording that is being decoded: its format, its samples in blocks, its damage, and why it cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

MAX_RATE = 1_000_000
MAX_CHANNELS = 64
# How a Git LFS pointer, which stands in for another file, begins.
LFS_POINTER = b"version https://git-lfs.github.com/spec/"

Reason = Literal[
    "empty",
    "not_audio",
    "lfs_pointer",
    "truncated",
    "damaged",
    "joined",
    "no_samples",
    "no_such_channel",
    "beyond_end",
    "non_finite",
    "too_long",
    "undecodable",
    "crashed",
    "too_slow",
    "out_of_memory",
]


class AudioFault(Exception):  # noqa: N818 - the fault is in the file, not in the program
    """A file that holds no usable audio, or none from here on: `reason` is for counting, `message` is for people."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


@dataclass(frozen=True)
class Damage:
    """Sound of a recording that is missing or could not be decoded, while the rest can be heard.

    `at_s` is where, in seconds of decoded sound; None if the end is missing.
    """

    reason: Reason
    message: str
    at_s: float | None = None


@dataclass(frozen=True)
class AudioStream:
    """A recording being decoded: frames per second, channels, and the frames that its header states, if it does.

    The stated length is exact to `slack_s` seconds. `blocks` yields `[n, channels]` float32 from a given frame on, and
    damage where it is met. It may be called once only; if the stream is `seekable`, any number of times, and the frames
    before are then not decoded.
    """

    sample_rate: int
    channels: int
    stated: int | None
    blocks: Callable[[int], Iterator[NDArray[np.float32] | Damage]]
    seekable: bool = False
    slack_s: float = 0.02


def check_format(name: str, sample_rate: int, channels: int) -> None:
    """Raise AudioFault("undecodable") for a sample rate or number of channels that no recorder writes."""
    claims = (("a sample rate of {} Hz", sample_rate, MAX_RATE), ("{} channels", channels, MAX_CHANNELS))
    for words, value, limit in claims:
        if not 0 < value <= limit:
            given = words.format(value)
            raise AudioFault("undecodable", f"{name}: its header gives {given} (1 to {limit} accepted)")


def read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    """Return up to `size` bytes of a file from `offset` on."""
    file.seek(offset)
    return file.read(size)


def size_of(file: BinaryIO) -> int:
    """Return a file's size in bytes."""
    return file.seek(0, 2)
