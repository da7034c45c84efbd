"""Decode audio files to float32 at a rate, mono or by channel: as a stream of blocks, or all at once."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.clipping import at_full_scale, at_new_rate, flat_peaks
from pipeline.audio.framed import flac_first_frame, flac_last_frame
from pipeline.audio.open_audio import open_audio
from pipeline.audio.resample import BlockGrid
from pipeline.audio.stream import AudioFault, AudioStream, Damage, read_at

__all__ = [
    "AudioFault",
    "AudioFormat",
    "Block",
    "Damage",
    "DecodedAudio",
    "Ended",
    "Item",
    "Span",
    "collect",
    "decode",
    "stream_audio",
]

# 32-bit integers stored as floats stay below this; far above, the power of a spectrum overflows to NaN.
_MAX_PEAK = 1e10
# A gap that is worth a seek.
_FAR_FRAMES = 1 << 20

Span: TypeAlias = "tuple[int, int | None]"


@dataclass(frozen=True)
class AudioFormat:
    """A file's sample rate and channels, and the seconds that its header states, None if it states none."""

    sample_rate: int
    channels: int
    stated_s: float | None


@dataclass(frozen=True)
class Block:
    """Samples `[channels, n]` float32, full scale at 1, from sample `start` of the recording on.

    `clipped` has, for each channel, the positions in the block of samples clipped before mixing and resampling.
    """

    start: int
    samples: NDArray[np.float32]
    clipped: tuple[NDArray[np.int32], ...] = (np.zeros(0, np.int32),)


@dataclass(frozen=True)
class Ended:
    """The recording's end was reached: it has `n` samples."""

    n: int


Item: TypeAlias = "AudioFormat | Block | Damage | Ended"


def stream_audio(
    file: BinaryIO,
    name: str,
    sample_rate: int,
    channel: str = "mix",
    spans: Sequence[Span] = ((0, None),),
    max_seconds: float | None = None,
) -> Iterator[Item]:
    """Decode an audio file: yield its format, blocks at `sample_rate` in Hz that cover the `spans`, and its damage.

    `channel` is "mix" (the mean of all), the number of one from 1 on, or "each". A span goes from one sample to
    another, or to the end; blocks that no span needs are left out and, if the format allows it, not decoded. The
    samples depend on the file, `sample_rate` and `channel` alone. Memory is bounded, whatever the file's length. `name`
    is used in messages only. An empty block says that decoding goes on where nothing is needed.
    Raises AudioFault, with a reason, when the file is empty, not audio, longer than `max_seconds`, or lacks the
    channel. If decoding fails midway, that is damage after the sound decoded so far.
    """
    stream, known = open_audio(file, name)
    stated_s = stream.stated / stream.sample_rate if stream.stated is not None else None
    yield AudioFormat(stream.sample_rate, stream.channels, stated_s)
    if channel.isdecimal() and int(channel) > stream.channels:
        words = f"{stream.channels} channel{'s' * (stream.channels > 1)}, and --channel asks for number {channel}"
        raise AudioFault("no_such_channel", f"{name}: it has {words}")
    yield from known
    last = max((span[1] for span in spans), key=lambda stop: float("inf") if stop is None else stop)
    frames = _Frames(stream, name, channel, max_seconds)
    # For the file's channels, so that a channel has the same samples whether it is read alone or with the others.
    grid = BlockGrid.of(stream.sample_rate, sample_rate, stream.channels)
    for number in itertools.count():
        start, stop = number * grid.samples, (number + 1) * grid.samples
        begin, end = number * grid.frames, (number + 1) * grid.frames
        if last is not None and start >= last:
            return
        if not any(first < stop and (behind is None or behind > start) for first, behind in spans):
            if not stream.seekable and frames.n is None:
                frames.take(max(0, begin - grid.context), begin)
                yield Block(start, np.zeros((1, 0), np.float32))
            continue
        waveform, full = frames.take(max(0, begin - grid.context), end + grid.context)
        yield from frames.met()
        ends = frames.n is not None and frames.n <= end
        if ends and frames.silenced == frames.n:
            # There were no samples, or none that are finite.
            raise frames.nothing()
        if frames.n is None or frames.n > begin:
            samples = grid.resample(number, waveform, ends)
            if not number and not samples.shape[1]:
                # Less than half a sample at the new rate; a recording that holds sound has at least one sample.
                samples = np.zeros((len(waveform), 1), np.float32)
            clipped = (full | flat_peaks(waveform))[:, begin - max(0, begin - grid.context) :]
            yield Block(start, samples, at_new_rate(clipped, stream.sample_rate, sample_rate, samples.shape[1]))
            stop = start + samples.shape[1]
        elif frames.n is not None:
            stop = round(frames.n * sample_rate / stream.sample_rate)
        if ends:
            break
    yield from _shortfall(stream, file, frames.n or 0, known or frames.damaged)
    yield Ended(stop)


class _Frames:
    """The frames of a stream as `[channels, n]`, mixed or chosen, and which of them are at full scale, read on demand.

    `n` is their number, None until the end is reached; `silenced` counts those that were not finite, and `damaged`
    says whether any damage was met.
    """

    def __init__(self, stream: AudioStream, name: str, channel: str, max_seconds: float | None) -> None:
        self.n: int | None = None
        self.silenced = 0
        self.damaged = False
        self._stream, self._name, self._channel, self._max_seconds = stream, name, channel, max_seconds
        self._blocks: Iterator[NDArray[np.float32] | Damage] | None = None
        self._held: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = []
        self._begin = self._end = 0  # of what is held
        self._met: list[Damage] = []
        self._fault: AudioFault | None = None

    def take(self, begin: int, end: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return frames `begin` to `end`, or to the end of the recording; frames before `begin` are dropped."""
        if self._blocks is None or (self._stream.seekable and begin - self._end > _FAR_FRAMES):
            at = min(begin, self._stream.stated or 0) if self._stream.seekable else 0
            self._blocks, self._held, self._begin, self._end = self._stream.blocks(at), [], at, at
        while self._end < end and self.n is None:
            self._read(self._blocks, begin)
        if not self._held:
            return np.zeros((1, 0), np.float32), np.zeros((1, 0), np.bool_)
        frames, full = (
            (parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))[:, max(0, begin - self._begin) :]
            for parts in zip(*self._held, strict=True)
        )
        self._held, self._begin = [(frames, full)], max(begin, self._begin)
        n = max(0, end - self._begin)
        return frames[:, :n], full[:, :n]

    def met(self) -> list[Damage]:
        """Return the damage met since the last call."""
        met, self._met = self._met, []
        self.damaged |= bool(met)
        return met

    def nothing(self) -> AudioFault:
        """Return the reason why nothing of the recording can be heard."""
        if self._fault is not None:
            return self._fault
        if self.n:
            return AudioFault("non_finite", f"{self._name}: all of its samples are NaN or infinite")
        return AudioFault("no_samples", f"{self._name}: the file is well formed but holds no samples")

    def _read(self, blocks: Iterator[NDArray[np.float32] | Damage], begin: int) -> None:
        try:
            block = next(blocks, None)
            if isinstance(block, np.ndarray):
                self._take(block, begin)
                return
        except AudioFault as fault:
            if fault.reason == "too_long":
                raise
            self._fault = fault
            block = Damage(fault.reason, fault.message.removeprefix(f"{self._name}: "), self._seconds(self._end))
            self.n = self._end
        if block is None:
            self.n = self._end
        else:
            self._met.append(block)

    def _take(self, block: NDArray[np.float32], begin: int) -> None:
        at, self._end = self._end, self._end + len(block)
        if self._max_seconds is not None and self._end > self._max_seconds * self._stream.sample_rate:
            raise AudioFault(
                "too_long",
                f"{self._name}: it is longer than {self._max_seconds:g} s: give a larger --max-clip-seconds, or none",
            )
        if self._end <= begin:
            self._held, self._begin = [], self._end
            return
        full = at_full_scale(block)
        if self._channel == "each" or block.shape[1] == 1:
            chosen, full = block.T, full.T
        elif self._channel == "mix":
            chosen, full = block.mean(axis=1, dtype=np.float64).astype(np.float32)[None], full.any(axis=1)[None]
        else:
            one = int(self._channel) - 1
            chosen, full = block[:, one][None], full[:, one][None]
        peak = max(float(chosen.max(initial=0.0)), -float(chosen.min(initial=0.0)))
        if not math.isfinite(peak):
            chosen, peak = self._silenced(chosen, at)
        if peak > _MAX_PEAK:
            self._end = at
            raise AudioFault("undecodable", f"{self._name}: its samples reach {peak:.0e} times full scale")
        self._held.append((chosen, full))

    def _silenced(self, chosen: NDArray[np.float32], at: int) -> tuple[NDArray[np.float32], float]:
        finite = np.isfinite(chosen)
        bad = ~finite.all(axis=0)
        self.silenced += 0 if finite.any() else finite.shape[1]
        first = self._seconds(at + int(bad.argmax()))
        words = f"{int(bad.sum())} samples from {first:.2f} s on are NaN or infinite, and silenced"
        self._met.append(Damage("non_finite", words, first))
        chosen = np.where(finite, chosen, np.float32(0))
        return chosen, float(np.abs(chosen).max(initial=0.0))

    def _seconds(self, frame: int) -> float:
        return frame / self._stream.sample_rate


def _shortfall(stream: AudioStream, file: BinaryIO, n: int, damaged: object) -> Iterator[Damage]:
    """Yield what is missing by the length that the header states, unless damage was reported before."""
    if damaged:
        return
    is_flac = read_at(file, 0, 4) == b"fLaC"
    if stream.stated is None:
        # A FLAC that states no length still numbers its frames.
        numbered = _numbered(file) if is_flac else None
        if numbered is not None and n < numbered - stream.slack_s * stream.sample_rate:
            heard, there = n / stream.sample_rate, numbered / stream.sample_rate
            words = f"it holds {heard:.3f} s of the {there:.3f} s that its frames count"
            yield Damage("damaged", f"{words}: what is missing lies before its end", 0.0)
        return
    if n >= stream.stated - stream.slack_s * stream.sample_rate:
        return
    heard, stated = n / stream.sample_rate, stream.stated / stream.sample_rate
    words = f"it holds {heard:.3f} s of the {stated:.3f} s that its header states"
    last = flac_last_frame(file) if is_flac else None
    if last == stream.stated:
        yield Damage("damaged", f"{words}: what is missing lies before its end", 0.0)
    elif last == n:
        yield Damage("truncated", f"{words}, and ends with a whole frame, as what was cut from a longer file does")
    else:
        yield Damage("truncated", words)


def _numbered(file: BinaryIO) -> int | None:
    """Return the samples from the first frame of a FLAC file to the last, both included, by the frames' numbers."""
    first, last = flac_first_frame(file), flac_last_frame(file)
    return None if first is None or last is None else last - first


@dataclass(frozen=True)
class DecodedAudio:
    """A mono waveform `[n]`, float32, full scale at 1, the rate and channels that the file had, and what it lacks."""

    waveform: NDArray[np.float32]
    sample_rate_in: int
    channels_in: int
    damage: tuple[Damage, ...] = ()


def decode(data: bytes, name: str, sample_rate: int, max_seconds: float | None = None) -> DecodedAudio:
    """Decode an audio file to mono (the mean of its channels) at `sample_rate` in Hz, all of it.

    A damaged file is decoded as far as possible, and what is missing is reported. The result depends on the bytes and
    `sample_rate` alone, and has exactly the samples that `stream_audio` yields.
    Raises AudioFault as `stream_audio` does.
    """
    return collect(stream_audio(io.BytesIO(data), name, sample_rate, max_seconds=max_seconds))


def collect(items: Iterable[Item]) -> DecodedAudio:
    """Join all of a recording that `stream_audio` or a decoder's process streams as one channel."""
    form, blocks, damage = AudioFormat(0, 0, None), [], []
    for item in items:
        if isinstance(item, AudioFormat):
            form = item
        elif isinstance(item, Block):
            blocks.append(item.samples[0])
        elif isinstance(item, Damage):
            damage.append(item)
    waveform = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    return DecodedAudio(waveform, form.sample_rate, form.channels, tuple(damage))
