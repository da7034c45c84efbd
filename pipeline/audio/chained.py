"""Ogg files that are a chain of streams with different rates or channels, which no decoder reads to the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soxr
from numpy.typing import NDArray

from pipeline.audio.framed import OggPages
from pipeline.audio.pyav import open_pyav
from pipeline.audio.ranges import ranged_file, read_range
from pipeline.audio.stream import AudioFault, AudioStream, Damage, size_of


def is_uneven(pages: OggPages) -> bool:
    """Whether the links of a chain are of one codec, and differ in rate or channels."""
    return len(set(pages.forms)) > 1 and len({form[:5] for form in pages.forms}) == 1


def open_chained(file: BinaryIO, name: str, pages: OggPages) -> AudioStream:
    """Open a chain; later links are converted to the rate and channels of the first, as FFmpeg's command does.

    Raises AudioFault as `open_pyav` does for the first link.
    """
    size = size_of(file)
    ends = [*pages.links[1:], size]
    links = [
        ranged_file(end - begin, lambda at, n, begin=begin: read_range(file, begin + at, n))  # type: ignore[misc]
        for begin, end in zip(pages.links, ends, strict=True)
    ]
    first = open_pyav(links[0], name)

    def blocks(start: int) -> Iterator[NDArray[np.float32] | Damage]:
        at = 0
        for number, link in enumerate(links):
            try:
                stream = open_pyav(link, name) if number else first
            except AudioFault as fault:
                yield Damage("damaged", fault.message.removeprefix(f"{name}: "), at / first.sample_rate)
                continue
            for block in _converted(stream, first.sample_rate, first.channels):
                if isinstance(block, Damage):
                    yield block
                    continue
                at += len(block)
                yield block

    return AudioStream(first.sample_rate, first.channels, None, blocks)


def _converted(stream: AudioStream, sample_rate: int, channels: int) -> Iterator[NDArray[np.float32] | Damage]:
    resampler = soxr.ResampleStream(stream.sample_rate, sample_rate, channels, dtype="float32", quality="HQ")
    for block in stream.blocks(0):
        if isinstance(block, Damage):
            yield block
            continue
        if stream.channels != channels:
            block = np.repeat(block.mean(axis=1, dtype=np.float32)[:, None], channels, axis=1)
        yield resampler.resample_chunk(block) if stream.sample_rate != sample_rate else block
    if stream.sample_rate != sample_rate:
        yield resampler.resample_chunk(np.empty((0, channels), np.float32), last=True)
