"""A recording that is being decoded: its format, its samples in blocks, and why it may hold no usable audio."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

MAX_RATE = 1_000_000
MAX_CHANNELS = 64

Reason = Literal[
    "empty",
    "not_audio",
    "truncated",
    "no_samples",
    "non_finite",
    "too_long",
    "undecodable",
    "crashed",
    "too_slow",
    "out_of_memory",
]


class AudioFault(Exception):  # noqa: N818 - the fault is in the file, not in the program
    """A file that holds no usable audio: `reason` is for counting, `message` is for people."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


@dataclass(frozen=True)
class AudioStream:
    """A recording being decoded: frames per second, channels, and blocks `[n, channels]` of float32."""

    sample_rate: int
    channels: int
    blocks: Iterator[NDArray[np.float32]]


def check_format(name: str, sample_rate: int, channels: int) -> None:
    """Raise AudioFault("undecodable") for a sample rate or number of channels that no recorder writes."""
    claims = (("a sample rate of {} Hz", sample_rate, MAX_RATE), ("{} channels", channels, MAX_CHANNELS))
    for words, value, limit in claims:
        if not 0 < value <= limit:
            given = words.format(value)
            raise AudioFault("undecodable", f"{name}: its header gives {given} (1 to {limit} accepted)")
