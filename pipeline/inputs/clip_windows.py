"""Decode a recording as a stream, and cut its clips (itself, its channels or its segments) into windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.clipping import ClippedSamples
from pipeline.audio.decode import AudioFault, AudioFormat, Block, Damage, Item, stream_audio
from pipeline.audio.ranges import StoredAudio, opened_audio
from pipeline.audio.windows import Window, WindowCutter
from pipeline.inputs.recording import RawRecording, Segment, channel_clip_id
from schemas.explainer_config import FrontEndConfig
from schemas.records import Cursor
from schemas.run_config import DecodingConfig

Stream: TypeAlias = Callable[..., Iterator[Item]]

# A segment may end this long after the recording: times are rounded.
_SLACK_S = 0.02
# Blocks of a recording that are held until it is known whether it is refused; a longer recording is decoded twice.
_HELD_BLOCKS = 2
_NAMED_DAMAGE = 1000


@dataclass(frozen=True)
class ClipWindow:
    """A window of a clip, and the `place` to find it again: `[n]` samples float32, of which `length` are sound.

    `start_s` counts from the file's beginning; `channel` is None for a mix; `damaged` says that sound of the recording
    is known to be missing, at the latest on its last window. `unheard_s` is the sound left after the last window, and
    `clipped` the number of clipped samples.
    """

    place: Cursor
    clip_id: str
    metadata: dict[str, Any]
    channel: int | None
    index: int
    start_s: float
    length: int
    unheard_s: float
    samples: NDArray[np.float32]
    clipped: int
    sample_rate_in: int
    channels_in: int
    damaged: bool


@dataclass(frozen=True)
class ClipError:
    """A clip that cannot be used, or not in full: why, how many seconds are heard, and how many it should have."""

    clip_id: str
    reason: str
    message: str
    heard_s: float
    stated_s: float | None


def stream_here(source: bytes | StoredAudio, name: str, *given: Any, **named: Any) -> Iterator[Item]:
    """Decode in this process: for recordings that are trusted."""
    with opened_audio(source) as file:
        yield from stream_audio(file, name, *given, **named)


def read_spans(
    recording: RawRecording,
    sample_rate: int,
    spans: Sequence[tuple[int, int]],
    channel: str = "mix",
    from_start: bool = False,
    stream: Stream = stream_here,
) -> list[NDArray[np.float32]]:
    """Return the samples `[n]` of spans (start, stop) of a recording, fewer if the recording ends before.

    They are exactly the samples of the recording's windows, provided that a damaged one is decoded `from_start`.
    """
    pieces: list[list[NDArray[np.float32]]] = [[] for _ in spans]
    if not spans:
        return []
    wanted = [(0, max(stop for _, stop in spans))] if from_start else spans
    for item in stream(recording.data, recording.name, sample_rate, channel=channel, spans=wanted):
        if isinstance(item, Block):
            end = item.start + item.samples.shape[1]
            for piece, (start, stop) in zip(pieces, spans, strict=True):
                if item.start < stop and end > start:
                    piece.append(item.samples[0, max(0, start - item.start) : stop - item.start])
    return [np.concatenate(piece) if piece else np.zeros(0, np.float32) for piece in pieces]


def clip_windows(
    recording: RawRecording,
    front_end: FrontEndConfig,
    config: DecodingConfig,
    stream: Stream = stream_here,
    start: Cursor = Cursor(),
) -> Iterator[ClipWindow | ClipError]:
    """Decode a recording and yield the windows of its clips from the place `start` on, and the errors that it has.

    All clips of a file come from one decoding pass, which holds only the current windows. `stream` decodes as
    `stream_audio` does. The windows are the same, bit for bit, from whatever place it starts. Raises whatever reading
    the recording from its storage raises.
    """
    resumed = start.window > 0 or start.clip > 0
    for item in _Clips(recording, front_end, config, start if resumed else None).of(stream):
        if resumed and isinstance(item, ClipWindow):
            resumed = (item.place.window, item.place.clip) != (start.window, start.clip)
        if not resumed:
            yield item


@dataclass
class _Clip:
    """A segment that is being cut, or the whole recording: samples `begin` to `stop` of all its channels."""

    number: int
    segment: Segment
    begin: int
    stop: int | None
    cutter: WindowCutter
    clipped: ClippedSamples = field(default_factory=ClippedSamples)
    done: bool = False


class _Clips:
    def __init__(
        self, recording: RawRecording, front_end: FrontEndConfig, config: DecodingConfig, start: Cursor | None
    ) -> None:
        self._recording, self._config = recording, config
        self._rate = rate = front_end.sample_rate
        # Only a whole recording is resumed midway: what came before must not matter.
        first = start.window if start and not (start.damaged or recording.segments) else 0
        segments = recording.segments or (Segment(recording.clip_id, 0.0, None),)
        self._clips = [
            _Clip(
                number,
                segment,
                round(segment.start_s * rate),
                None if segment.stop_s is None else round(segment.stop_s * rate),
                WindowCutter(front_end, config.window_hop_s, config.min_tail, first),
            )
            for number, segment in enumerate(segments)
        ]
        # The length of a segment does not depend on that of its recording.
        self._max_seconds = None if recording.segments else config.max_clip_seconds
        self._spans = [(clip.begin + clip.cutter.n, clip.stop) for clip in self._clips]
        self._form = AudioFormat(0, 0, None)
        self._damage: list[Damage] = []
        self._n = 0

    def of(self, stream: Stream) -> Iterator[ClipWindow | ClipError]:
        """Yield the windows and errors of all clips."""
        config, recording = self._config, self._recording
        decode = partial(
            stream,
            recording.data,
            recording.name,
            self._rate,
            channel=config.channel,
            spans=self._spans,
            max_seconds=self._max_seconds,
        )
        try:
            for item in self._checked(decode):
                if isinstance(item, AudioFormat):
                    self._form = item
                elif isinstance(item, Damage):
                    self._damage += [item] if len(self._damage) < _NAMED_DAMAGE else []
                elif isinstance(item, Block):
                    yield from self._cut(item)
                else:
                    self._n = item.n
        except AudioFault as fault:
            words = fault.message.removeprefix(f"{recording.name}: ")
            if not self._n or fault.reason in ("too_long", "no_such_channel"):
                for clip in self._clips:
                    yield self._error(clip.segment.clip_id, clip, fault.reason, words, 0.0)
                return
            self._damage.append(Damage(fault.reason, words, self._n / self._rate))
        for clip in self._clips:
            yield from self._end(clip, ended=True)

    def _checked(self, decode: Callable[[], Iterator[Item]]) -> Iterator[Item]:
        """Yield the items of a recording; if a late item could refuse all of it, all are checked first."""
        refuses = self._config.damaged == "refuse"
        if not refuses and self._max_seconds is None:
            yield from decode()
            return
        held: list[Item] = []
        blocks, damage = 0, None
        for item in decode():
            blocks += isinstance(item, Block)
            held = [*held, item] if blocks <= _HELD_BLOCKS else []
            damage = damage or (item if isinstance(item, Damage) else None)
            self._form = item if isinstance(item, AudioFormat) else self._form
        if refuses and damage is not None:
            raise AudioFault(damage.reason, f"{self._recording.name}: {damage.message}")
        yield from held or decode()

    def _cut(self, block: Block) -> Iterator[ClipWindow | ClipError]:
        end = block.start + block.samples.shape[1]
        self._n = max(self._n, end)
        for clip in self._clips:
            at = clip.begin + clip.cutter.n
            stop = end if clip.stop is None else min(end, clip.stop)
            if not clip.done and block.start <= at < stop:
                clip.clipped.add(block.start, block.clipped)
                for window in clip.cutter.add(block.samples[:, at - block.start : stop - block.start]):
                    yield from self._windows(clip, window, last=False)
            if not clip.done and clip.stop is not None and end >= clip.stop > clip.begin:
                yield from self._end(clip, ended=False)

    def _end(self, clip: _Clip, ended: bool) -> Iterator[ClipWindow | ClipError]:
        """Yield the last windows of a clip, and its error if any; `ended` says that the recording has no more sound."""
        if clip.done:
            return
        clip.done = True
        lacking = self._lacking(clip) if ended else None
        reason, words = lacking or self._harm(clip) or ("", "")
        rest = list(clip.cutter.end())
        for window in rest:
            yield from self._windows(clip, window, window is rest[-1], bool(reason))
        if reason:
            heard = clip.cutter.n / self._rate
            if not heard:
                yield self._error(clip.segment.clip_id, clip, reason, words, heard)
            else:
                for clip_id, _ in self._channels(clip):
                    yield self._error(clip_id, clip, reason, words, heard)

    def _windows(self, clip: _Clip, window: Window, last: bool, harmed: bool = False) -> Iterator[ClipWindow]:
        channels = self._channels(clip)
        damaged = harmed or next(self._met(clip), None) is not None
        for number, ((clip_id, channel), samples) in enumerate(zip(channels, window.samples, strict=True)):
            yield ClipWindow(
                place=Cursor(
                    recording=self._recording.ordinal,
                    window=window.number,
                    # Segments do not come in order: 0 is the beginning of all of them.
                    clip=number + (1 + clip.number * len(channels) if self._recording.segments else 0),
                    damaged=bool(self._damage),
                ),
                clip_id=clip_id,
                metadata=clip.segment.metadata,
                channel=channel,
                index=window.number,
                start_s=(clip.begin + window.span.start) / self._rate,
                length=window.span.stop - window.span.start,
                unheard_s=(clip.cutter.n - window.span.stop) / self._rate if last else 0.0,
                samples=samples,
                clipped=clip.clipped.count(number, clip.begin + window.span.start, clip.begin + window.span.stop),
                sample_rate_in=self._form.sample_rate,
                channels_in=self._form.channels,
                damaged=damaged,
            )

    def _channels(self, clip: _Clip) -> list[tuple[str, int | None]]:
        """Return the id and the number of each channel that counts as a recording."""
        channel, clip_id = self._config.channel, clip.segment.clip_id
        if channel == "each":
            return [(channel_clip_id(clip_id, n), n) for n in range(1, self._form.channels + 1)]
        return [(clip_id, None if channel == "mix" else int(channel))]

    def _met(self, clip: _Clip) -> Iterator[Damage]:
        """Yield the damage before the end of the clip that is known so far."""
        stop = None if clip.stop is None else clip.stop / self._rate
        return (one for one in self._damage if stop is None or (one.at_s is not None and one.at_s < stop))

    def _harm(self, clip: _Clip) -> tuple[str, str] | None:
        """Return why sound of the clip is missing, as far as known so far; None if none is."""
        met = list(self._met(clip))
        if not met:
            return None
        others = len({one.message for one in met}) - 1
        more = f"; {others} more faults after it" if others > 1 else "; one more fault after it" if others else ""
        return met[0].reason, f"{met[0].message}{more}"

    def _lacking(self, clip: _Clip) -> tuple[str, str] | None:
        """Return why the recording has less sound than its segment asks for; None if it has not."""
        n, stop_s = self._n / self._rate, clip.segment.stop_s
        if clip.segment.stop_s is None and not clip.segment.start_s:
            return None
        if clip.cutter.n and (stop_s is None or n >= stop_s - _SLACK_S):
            return None
        until = "" if stop_s is None else f" to {stop_s:g} s"
        if clip.stop is not None and clip.stop <= clip.begin:
            return "beyond_end", f"the segment from {clip.segment.start_s:g} s{until} ends before it begins"
        other = "" if clip.cutter.n else "; if these are times in another recording, give --no-segments"
        end = "beyond_end", f"the recording ends after {n:.3f} s{other}"
        reason, words = self._cut_off(clip) or self._harm(clip) or end
        return reason, f"the segment from {clip.segment.start_s:g} s{until} is not all there: {words}"

    def _cut_off(self, clip: _Clip) -> tuple[str, str] | None:
        """Return why the recording ends before the clip, if its end is missing and the clip begins before that end."""
        stated_s = self._form.stated_s
        if stated_s is not None and clip.segment.start_s >= stated_s:
            return None
        return next(((one.reason, one.message) for one in self._damage if one.at_s is None), None)

    def _error(self, clip_id: str, clip: _Clip, reason: str, words: str, heard_s: float) -> ClipError:
        segment = clip.segment
        whole = segment.stop_s is None
        stated = self._form.stated_s if whole else max(0.0, (segment.stop_s or 0.0) - segment.start_s)
        if heard_s:
            of = f" of {stated:.3f} s" if stated is not None else ""
            words = f"{words}; {heard_s:.3f} s{of} are heard"
        return ClipError(clip_id, reason, f"{self._recording.name}: {words}", heard_s, stated)
