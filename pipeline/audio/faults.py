"""Why a file could not be turned into a waveform."""

from __future__ import annotations

from typing import Literal

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
