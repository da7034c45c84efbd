"""A shard as a stream of parts: decoded windows in order, and the recordings that could not be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.audio.decoder_process import DecoderProcess
from pipeline.audio.signal import SignalMeasures, measure_signal
from pipeline.flow.plan import Work
from pipeline.inputs.clip_windows import ClipError, clip_windows
from pipeline.inputs.labels import GroundTruth
from pipeline.inputs.readers import read_shard
from pipeline.inputs.recording import RawRecording, ReadFault, os_reason
from pipeline.inputs.shards import Shard, printable, window_id
from pipeline.runs.profiles import band_edges_hz
from pipeline.storage.errors import StorageError
from pipeline.trace import Span, span, spans_of_items
from schemas.explainer_config import FrontEndConfig
from schemas.records import Cursor
from schemas.run_config import ContentConfig

# One for all shards that this process reads, as it takes as long to start as a dozen recordings take to decode; it ends
# with this process.
DECODER = DecoderProcess()


@dataclass(frozen=True)
class RunContext:
    """What all shards of a run share; `labels` says where labels come from, `trace` whether spans are recorded."""

    root_url: str
    output_url: str
    content: ContentConfig
    front_end: FrontEndConfig
    explainer_digest: str
    labels: GroundTruth = field(default_factory=GroundTruth)
    trace: bool = False


@dataclass(frozen=True)
class WindowRow:
    """What is known of a window before it is explained; named as in the tables."""

    clip_id: str
    key: str
    window_index: int
    start_s: float
    length: int
    unheard_s: float
    sample_rate_in: int
    channels_in: int
    channel: int | None
    damaged: bool
    label_true: tuple[str, ...]
    signal: SignalMeasures
    metadata: dict[str, Any]

    @property
    def window_id(self) -> str:
        """clip_id and window number, safe in a path."""
        return window_id(self.clip_id, self.window_index)


@dataclass(frozen=True)
class ErrorRow:
    """A recording that could not be used, or not in full, and why; named as in the table."""

    clip_id: str
    key: str
    stage: str
    reason: str
    message: str
    size_bytes: int | None
    heard_s: float = 0.0
    stated_s: float | None = None


@dataclass(frozen=True)
class Part:
    """Up to `part_windows` windows of one shard, in order: what is explained, written and committed as one.

    `waveforms` `[W, n]` float32; `recordings` counts the recordings that begin in this part, usable or not. On the last
    part, `left_out` counts what the whole shard holds besides recordings, and the recordings not drawn. `spans` record
    the work on the part so far, if the run is traced.
    """

    shard_id: str
    number: int
    waveforms: np.ndarray
    rows: list[WindowRow]
    errors: list[ErrorRow]
    recordings: int
    next: Cursor
    share: float
    last: bool
    left_out: Mapping[str, int] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True)
class _Item:
    """A window or an error, where it begins, and the file's bytes if it is the file's last item."""

    begins: Cursor
    row: WindowRow | ErrorRow
    waveform: np.ndarray | None
    file_bytes: int | None = None

    @property
    def begins_recording(self) -> bool:
        """Whether this is the first item of a recording."""
        return self.row.window_index == 0 if isinstance(self.row, WindowRow) else not self.row.heard_s


def cut_parts(context: RunContext, work: Work) -> Iterator[Part]:
    """Read and decode what is left of a shard, as parts.

    Where a part ends depends on the shard and the run's content alone, so a stream resumed from a commit's `next`
    yields the same parts as an uninterrupted one. A part is closed when the window after it comes, so that a shard
    always ends with a part whose `last` is True, even if that part is empty.
    Raises StorageError when the recording to start from, which a commit names, no longer exists.
    """
    shard, start = work.shard, work.start
    # A manifest does not say how large its files are: each then counts as one.
    total = shard.size_bytes or max(len(shard.entries), 1)
    done, number, reached = work.share * total, work.first, start
    items: list[_Item] = []
    left_out: Counter[str] = Counter()
    windows = 0

    def close(end: Cursor, last: bool) -> Part:
        waveforms = [item.waveform for item in items if item.waveform is not None]
        return Part(
            shard_id=shard.shard_id,
            number=number,
            waveforms=np.stack(waveforms) if waveforms else np.zeros((0, context.front_end.window_samples), np.float32),
            rows=[item.row for item in items if isinstance(item.row, WindowRow)],
            errors=[item.row for item in items if isinstance(item.row, ErrorRow)],
            recordings=sum(item.begins_recording for item in items),
            next=end,
            share=1.0 if last else min(done / total, 1.0),
            last=last,
            left_out=dict(left_out) if last else {},
        )

    stream = _items(context, shard, start, left_out)
    if start != Cursor():
        stream = _reaching(stream, start, shard)
    for item in stream:
        if item.waveform is not None and windows == context.content.part_windows:
            yield close(item.begins, last=False)
            items, windows, number = [], 0, number + 1
        items.append(item)
        windows += item.waveform is not None
        if item.file_bytes is not None:
            done += item.file_bytes if shard.size_bytes else 1
            reached = Cursor(recording=item.begins.recording + 1)
    yield close(reached, last=True)


def _reaching(items: Iterator[_Item], start: Cursor, shard: Shard) -> Iterator[_Item]:
    first = next(items, None)
    if first is None or first.begins.recording != start.recording:
        raise StorageError(
            f"{printable(shard.uri) or shard.shard_id}: its recording number {start.recording + 1}, where the next part"
            " begins, no longer exists: the input was changed while it was read"
        )
    yield first
    yield from items


def _items(context: RunContext, shard: Shard, start: Cursor, left_out: Counter[str]) -> Iterator[_Item]:
    reading = read_shard(context.root_url, shard, start.recording, left_out=left_out)
    for recording in spans_of_items("read", reading):
        begins = Cursor(recording=recording.ordinal)
        if isinstance(recording, ReadFault):
            size = recording.size_bytes
            items = [
                _Item(begins, ErrorRow(lost, recording.key, "read", recording.reason, recording.message, size), None)
                for lost in context.labels.lost(recording)
            ]
            yield from items[:-1]
            yield replace(items[-1], file_bytes=size or 0)
            continue
        recording = context.labels.annotated(recording)
        last: _Item | None = None
        for item in _clip_items(context, recording, start if recording.ordinal == start.recording else begins):
            if last is not None:
                yield last
            last = item
        if last is not None:
            yield replace(last, file_bytes=recording.size_bytes)


def _clip_items(context: RunContext, recording: RawRecording, start: Cursor) -> Iterator[_Item]:
    begins = Cursor(recording=recording.ordinal)
    rate, edges_hz = context.front_end.sample_rate, tuple(band_edges_hz(context.front_end).tolist())
    # If it is resumed midway, windows of it have been committed.
    begun = bool(start.window or start.clip)

    def failed(clip_id: str, stage: str, reason: str, message: str, heard: float, stated: float | None) -> _Item:
        row = ErrorRow(clip_id, recording.key, stage, reason, message, recording.size_bytes, heard, stated)
        return _Item(begins, row, None)

    try:
        windows = clip_windows(recording, context.front_end, context.content, DECODER.stream, start)
        for item in spans_of_items("decode", windows):
            if isinstance(item, ClipError):
                yield failed(item.clip_id, "decode", item.reason, item.message, item.heard_s, item.stated_s)
                continue
            metadata = {**recording.metadata, **item.metadata}
            with span("measure"):
                signal = measure_signal(item.samples[: item.length], rate, edges_hz, item.clipped)
            row = WindowRow(
                clip_id=item.clip_id,
                key=recording.key,
                window_index=item.index,
                start_s=item.start_s,
                length=item.length,
                unheard_s=item.unheard_s,
                sample_rate_in=item.sample_rate_in,
                channels_in=item.channels_in,
                channel=item.channel,
                damaged=item.damaged,
                label_true=context.labels.labels_of(metadata, recording),
                signal=signal,
                metadata=metadata,
            )
            begun = True
            yield _Item(item.place, row, item.samples)
    except OSError as error:
        reason, words = os_reason(error)
        if begun:
            raise StorageError(f"{recording.key}: it cannot be read any further: {words}") from error
        for clip_id in recording.clip_ids:
            yield failed(clip_id, "read", reason, f"{recording.name}: {words}", 0.0, None)
