"""Windows of a run as they were recorded: read again from its input, or the sum of both sides of an explanation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.decoder_process import DecoderProcess
from pipeline.audio.stream import AudioFault
from pipeline.inputs.clip_windows import read_spans
from pipeline.inputs.label_table import ground_truth, load_labels
from pipeline.inputs.listing import list_input
from pipeline.inputs.readers import find_recordings
from pipeline.inputs.recording import FileIds
from pipeline.inputs.shards import printable
from pipeline.runs.listenable import Listenable
from pipeline.runs.run import Run
from pipeline.storage.errors import InputError
from schemas.input_config import InputConfig
from schemas.run_config import SIDES


def samples_of(start_s: float, duration_s: float, rate: int) -> tuple[int, int]:
    """Return the first and last (exclusive) sample of a window whose place in its recording is given in seconds.

    >>> samples_of(0.5, 1.0, 16_000)
    (8000, 24000)
    """
    start = round(start_s * rate)
    return start, start + round(duration_s * rate)


class Originals:
    """The input of a run, listed once, from which its windows are read again; its decoder ends with the block.

    `labels_url` is the run's table of labels, needed if it defines the segments. Raises InputError when it is needed
    and not given, StorageError when the input cannot be listed.
    """

    def __init__(self, run: Run, input_url: str, labels_url: str | None = None) -> None:
        config = run.record.config
        if config.get("label_segments") and labels_url is None:
            raise InputError(
                "the run's segments come from a table of labels: give it with --labels, or use the listenables, whose "
                "two sides add up to the original"
            )
        self._rate, self._channel = run.record.explainer["sample_rate"], config["channel"]
        reading = InputConfig.recorded(config, labels_url)
        self._listing = list_input(input_url, reading)
        labels = load_labels(reading, needed=False) if labels_url is not None else None
        self._truth = ground_truth(self._listing, reading, labels) if labels_url is not None else None
        self._decoder = DecoderProcess()

    def __enter__(self) -> Originals:
        return self

    def __exit__(self, *raised: Any) -> None:
        self._decoder.__exit__(*raised)

    def read(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yield the id and samples `[n]` of each window, given by its row of `predictions`.

        They are at the explainer's rate, in the input's order; windows whose recording the input lacks are left out.
        Raises StorageError when the input cannot be read, and InputError when a recording can no longer be decoded.
        """
        by_clip: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in rows:
            by_clip[row["clip_id"]].append(row)
        files = FileIds(by_clip.keys(), self._channel == "each")
        within = {row["shard"] for found in by_clip.values() for row in found}
        shards = {one.shard_id for one in self._listing.shards if one.kind == "files" or printable(one.uri) in within}
        for recording in find_recordings(self._listing, files, shards, self._truth):
            for clip_id in (found for one in recording.clip_ids for found in files.of(one)):
                windows = by_clip.pop(clip_id, [])
                spans = [samples_of(one["start_s"], one["duration_s"], self._rate) for one in windows]
                channels = {str(one["channel"] or self._channel) for one in windows} or {"mix"}
                damaged = any(one["damaged"] for one in windows)
                read = partial(read_spans, recording, self._rate, spans, channels.pop(), damaged, self._decoder.stream)
                waveforms = _still_there(recording.name, read)
                yield from zip((one["window_id"] for one in windows), waveforms, strict=True)
            if not by_clip:
                return


def _still_there(name: str, read: Callable[[], Iterable[NDArray[np.float32]]]) -> Iterator[NDArray[np.float32]]:
    try:
        yield from read()
    except AudioFault as fault:
        raise InputError(
            f"{name}: it cannot be decoded any more ({fault.message}): give the input as it was when the run was made"
        ) from None


def read_originals(
    run: Run, window_ids: Collection[str], input_url: str, labels_url: str | None = None
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the id and samples `[n]` of windows of a run, at the explainer's rate, in the input's order.

    Windows are left out, and errors raised, as in `Originals`.
    """
    with Originals(run, input_url, labels_url) as originals:
        rows = run.sql(
            "SELECT clip_id, window_id, shard, start_s, duration_s, channel, damaged FROM predictions "
            "WHERE list_contains(?, window_id)",
            [list(window_ids)],
        )
        yield from originals.read(rows.to_arrow_table().to_pylist())


def sides_add_up(run: Run) -> bool:
    """Whether the masked-in and masked-out listenables of a run add up to the original, where both were drawn."""
    sides = set(run.record.config.get("listenables", ()))
    return run.record.explainer["mask_domain"] == "magnitude" and set(SIDES) <= sides


class SidesSum:
    """Adds up the two sides of explanations, in whatever order they come: together they are the original."""

    def __init__(self) -> None:
        self._other: dict[tuple[str, str], NDArray[np.float32]] = {}

    def add(self, side: Listenable) -> NDArray[np.float32] | None:
        """Take a side; return the original `[n]` if it is the second of its window and target."""
        key = side.row["window_id"], side.row["target"]
        # A side that would have exceeded full scale was lowered as a whole.
        waveform = side.waveform / np.float32(10 ** (side.row["gain_db"] / 20))
        if key in self._other:
            original: NDArray[np.float32] = waveform + self._other.pop(key)
            return original
        self._other[key] = waveform
        return None
