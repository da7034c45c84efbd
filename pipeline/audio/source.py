"""An opened recording: its format, and its samples in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.faults import AudioFault

MAX_RATE = 1_000_000
MAX_CHANNELS = 64


@dataclass(frozen=True)
class Source:
    """A recording being decoded: frames per second, channels, and blocks `[n, channels]` of float32."""

    sample_rate: int
    channels: int
    blocks: Iterator[NDArray[np.float32]]


def check_format(name: str, sample_rate: int, channels: int) -> None:
    """Refuse what no recorder writes; raises AudioFault("undecodable") with the value named."""
    claims = (("a sample rate of {} Hz", sample_rate, MAX_RATE), ("{} channels", channels, MAX_CHANNELS))
    for words, value, limit in claims:
        if not 0 < value <= limit:
            given = words.format(value)
            raise AudioFault("undecodable", f"{name}: its header gives {given} (1 to {limit} accepted)")
