"""Decode an input once, into windows on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.audio.decoder_process import DecoderProcess
from pipeline.inputs.clip_windows import ClipError, clip_windows
from pipeline.inputs.file_reader import unread_recording
from pipeline.inputs.found_recordings import FoundRecordings
from pipeline.inputs.label_table import ground_truth, load_labels
from pipeline.inputs.labels import GroundTruth, LabelledSegment
from pipeline.inputs.listing import Listing, list_input
from pipeline.inputs.readers import read_shard
from pipeline.inputs.recording import RawRecording, ReadFault
from pipeline.inputs.selection import Selection, is_selected
from pipeline.inputs.shards import Shard, window_id
from pipeline.inputs.window_cache import INDEX, SAMPLES, LeftOut, cache_key, read_cache, write_cache
from pipeline.inputs.window_file import MappedWindows, WindowFile, refuse_growth, refuse_lack_of_space
from pipeline.inputs.window_set import TrainingDataError, WindowSet
from pipeline.storage.filesystem import display_url
from schemas.explainer_config import FrontEndConfig
from schemas.input_config import InputConfig
from schemas.run_config import DecodingConfig

OnSkip = Callable[[str, str], None]


def load_windows(
    url: str,
    front_end: FrontEndConfig,
    scratch: Path,
    *,
    reading: InputConfig = InputConfig(),
    classes: Sequence[str] | None = None,
    need_labels: bool = False,
    labels_used: bool = True,
    selections: Sequence[Selection] = (),
    limit: int | None = None,
    on_skip: OnSkip = lambda key, reason: None,
) -> WindowSet:
    """Decode an input (anything `explain` takes) into windows, kept in the folder `scratch`.

    They are decoded once: the same call finds them there, as long as the input's files (by name and size), the table
    of labels and the settings are the same.

    `reading` says where labels come from; unless `labels_used`, its table is used to select only. With `selections`,
    only the recordings of one or more of them are decoded and returned, with `need_labels` only those that have a
    label. A recording that cannot be decoded is left out and reported to `on_skip` with its key and the reason.
    After whole windows, an end of less than half a window is left out. `classes` fixes the classes and their order; by
    default they are the labels of all recordings, selected or not, sorted.

    If there are more than `limit` windows, those whose ids come first by a hash (`schemas.draws.rank_of`) are kept: the
    same in every call, and a smaller draw is part of a larger one. Neither memory nor disk then grows with the input,
    except for its listing. Samples are never all in memory.

    Raises TrainingDataError when nothing can be decoded or, with `need_labels`, when no recording has a label, or one
    (selected or not) has a label that is not in `classes`; SelectionError when a selection leaves nothing; InputError
    when `url` or the table of labels cannot be read, or is about other recordings; DiskSpaceError when the windows do
    not fit on the disk.
    """
    table = load_labels(reading, needed=labels_used)
    listing = list_input(url, reading)
    truth = ground_truth(listing, reading, table)
    scratch.mkdir(parents=True, exist_ok=True)
    request = _Request(front_end, classes, need_labels, table is not None, selections, limit)
    settings = {
        "input": listing.digest,
        "table": table.digest if table is not None else None,
        "reading": reading.model_dump(exclude={"labels"}),
        "front_end": front_end.model_dump(),
        "classes": classes,
        "labels": [need_labels, labels_used],
        "selections": list(selections),
        "limit": limit,
    }
    key = cache_key(settings)
    found = read_cache(scratch, key, front_end.window_samples)
    if found is not None:
        for name, reason in found[1]:
            on_skip(name, reason)
        return found[0]
    if limit is not None:
        refuse_lack_of_space(scratch, limit, front_end.window_samples, display_url(url))
    # Removed while the samples are written, as it would describe others.
    (scratch / INDEX).unlink(missing_ok=True)
    windows, left_out = _decode(display_url(url), listing, truth, request, scratch / SAMPLES, on_skip)
    write_cache(scratch, key, windows, left_out)
    return windows


@dataclass(frozen=True)
class _Request:
    """The arguments of `load_windows` that say what is wanted."""

    front_end: FrontEndConfig
    classes: Sequence[str] | None
    need_labels: bool
    by_table: bool
    selections: Sequence[Selection]
    limit: int | None

    def wants(self, segment: LabelledSegment) -> bool:
        return _is_wanted(segment.metadata, self.selections) and bool(segment.labels or not self.need_labels)


def _decode(
    name: str, listing: Listing, truth: GroundTruth, request: _Request, path: Path, on_skip: OnSkip
) -> tuple[WindowSet, LeftOut]:
    found, n_samples = FoundRecordings(request.selections), request.front_end.window_samples
    with WindowFile(path, n_samples, request.limit) as file, DecoderProcess() as decoder:
        total, done = sum(shard.size_bytes for shard in listing.shards), 0
        for shard in listing.shards:
            for recording in _read(listing.root_url, shard, truth, request.selections):
                if isinstance(recording, ReadFault):
                    found.skipped += len(truth.lost(recording))
                    found.left_out.append((recording.key, recording.message))
                    on_skip(recording.key, recording.message)
                else:
                    _add(found, file, shard, recording, truth, request, decoder, on_skip)
                if request.limit is not None:
                    found.forget_all_but(file.recordings)
            done += shard.size_bytes
            if request.limit is None and total:
                refuse_growth(file, done / total, name)
        rows, recordings, digests = file.close()
    if not found.total and not found.unlabelled:
        raise TrainingDataError(f"none of the {found.skipped} recordings of {name} could be decoded")
    if request.need_labels:
        found.refuse_labels(request.classes)
    chosen = found.chosen() if request.selections else list(range(len(found.labels)))
    if not len(rows):
        raise TrainingDataError(f"{name} has no window of sound to learn from")
    drawn = [f"{len(rows)} windows drawn of {file.seen}"] if len(rows) < file.seen else []
    windows = WindowSet(
        MappedWindows(path, len(rows), n_samples),
        recordings,
        tuple(found.keys),
        tuple(found.labels),
        tuple(found.metadata),
        tuple(request.classes) if request.classes else tuple(sorted(found.label_names)),
        found.skipped,
        "; ".join([*filter(None, [found.describe(request.by_table)]), *drawn]),
        tuple(found.files),
        rows,
        digests,
    )
    if request.limit is not None:
        used = set(recordings.tolist())
        chosen = [number for number in chosen if number in used]
    return windows.recordings(chosen), found.left_out


def _add(
    found: FoundRecordings,
    file: WindowFile,
    shard: Shard,
    recording: RawRecording,
    truth: GroundTruth,
    request: _Request,
    decoder: DecoderProcess,
    on_skip: OnSkip,
) -> None:
    """Add the windows of a recording to the file, and what is known about it to `found`."""
    segments = truth.segments_of(recording)
    by_clip = {segment.clip_id: segment for segment in segments}
    chosen = {segment.clip_id for segment in segments if request.wants(segment)}
    numbers: dict[str, int] = {}
    if chosen:
        for item in clip_windows(truth.annotated(recording), request.front_end, DecodingConfig(), decoder.stream):
            if isinstance(item, ClipError):
                # What can be heard of a damaged recording is learnt from.
                found.skipped += not item.heard_s
                numbers.setdefault(item.clip_id, -1)
                found.left_out.append((recording.key, item.message))
                on_skip(recording.key, item.message)
            elif item.clip_id in chosen:
                if numbers.get(item.clip_id, -1) < 0:
                    numbers[item.clip_id] = found.add(shard.uri, recording.key, by_clip[item.clip_id])
                file.add(window_id(item.clip_id, item.index), item.samples, numbers[item.clip_id])
    for segment in segments:
        if not segment.labels and request.need_labels:
            found.leave_unlabelled(recording.key, segment)
        elif segment.clip_id not in numbers:
            found.add(shard.uri, recording.key, segment)


def _is_wanted(metadata: Mapping[str, Any], selections: Sequence[Selection]) -> bool:
    return not selections or any(is_selected(metadata, selection) for selection in selections)


def _read(
    root_url: str, shard: Shard, truth: GroundTruth, selections: Sequence[Selection]
) -> Iterator[RawRecording | ReadFault]:
    """Yield a shard's recordings and faults in order; an unwanted loose file is not read, and comes without data."""
    unread = {}
    for entry in shard.entries:
        # A sidecar's metadata is known only once it is read.
        if not entry.sidecars:
            recording = unread_recording(entry)
            if not any(_is_wanted(segment.metadata, selections) for segment in truth.segments_of(recording)):
                unread[entry.place] = recording
    entries = tuple(entry for entry in shard.entries if entry.place not in unread)
    read = read_shard(root_url, replace(shard, entries=entries)) if entries or shard.kind != "files" else iter(())
    for entry in shard.entries:
        yield unread[entry.place] if entry.place in unread else next(read)
    # Tars and tables have no entries.
    yield from read
