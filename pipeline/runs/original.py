"""Windows of a run as they were recorded: read again from its input, or the sum of both sides of an explanation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.decoder_process import DecoderProcess
from pipeline.audio.stream import AudioFault
from pipeline.inputs.clip_windows import read_spans
from pipeline.inputs.label_table import ground_truth, load_labels
from pipeline.inputs.listing import list_input
from pipeline.inputs.readers import find_recordings
from pipeline.inputs.recording import FileIds
from pipeline.runs.run import Listenable, Run
from pipeline.storage.errors import InputError
from schemas.input_config import InputConfig


def samples_of(start_s: float, duration_s: float, rate: int) -> tuple[int, int]:
    """Return the samples, from one to another, of a window whose place in its recording a run states in seconds.

    >>> samples_of(0.5, 1.0, 16_000)
    (8000, 24000)
    """
    start = round(start_s * rate)
    return start, start + round(duration_s * rate)


def read_originals(
    run: Run, window_ids: Collection[str], input_url: str, labels_url: str | None = None
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield windows of a run by their names, with their samples `[n]` at the explainer's rate, in the input's order.

    Those whose recording the input does not have are left out. `labels_url` is the run's table of labels, which is
    needed where it said what the segments are.
    Raises InputError where it is not given then, or a recording cannot be decoded any more; StorageError where the
    input cannot be read.
    """
    rate, config = run.record.explainer["sample_rate"], run.record.config
    if config.get("label_segments") and labels_url is None:
        raise InputError(
            "a table of labels said what the run's segments are: give it with --labels, or take the listenables, of "
            "which both sides together are the original"
        )
    rows = run.sql(
        "SELECT clip_id, window_id, start_s, duration_s, channel, damaged FROM predictions "
        "WHERE list_contains(?, window_id)",
        [list(window_ids)],
    ).fetchall()
    by_clip = defaultdict(list)
    for clip_id, *row in rows:
        by_clip[clip_id].append(row)
    files = FileIds(by_clip.keys(), config["channel"] == "each")
    reading = InputConfig.recorded(config, labels_url)
    listing = list_input(input_url, reading)
    truth = ground_truth(listing, reading, load_labels(reading, needed=False)) if labels_url is not None else None
    with DecoderProcess() as decoder:
        for recording in find_recordings(listing, files, truth=truth):
            for clip_id in (found for one in recording.clip_ids for found in files.of(one)):
                windows = by_clip.pop(clip_id, [])
                spans = [samples_of(start, length, rate) for _, start, length, *_ in windows]
                channels = {str(channel or config["channel"]) for *_, channel, _ in windows} or {"mix"}
                damaged = any(damaged for *_, damaged in windows)
                read = partial(read_spans, recording, rate, spans, channels.pop(), damaged, decoder.stream)
                waveforms = _still_there(recording.name, read)
                yield from zip((window_id for window_id, *_ in windows), waveforms, strict=True)


def _still_there(name: str, read: Callable[[], Iterable[NDArray[np.float32]]]) -> Iterator[NDArray[np.float32]]:
    try:
        yield from read()
    except AudioFault as fault:
        raise InputError(
            f"{name}: it cannot be decoded any more ({fault.message}): give the input as it was when the run was made"
        ) from None


def sides_add_up(run: Run) -> bool:
    """Whether a run's listenables, masked in and masked out, are the original again where both were drawn."""
    sides = set(run.record.config.get("listenables", ()))
    return run.record.explainer["mask_domain"] == "magnitude" and {"masked_in", "masked_out"} <= sides


class SidesSum:
    """Adds up the two sides of explanations, in whatever order they come: together they are the original."""

    def __init__(self) -> None:
        self._other: dict[tuple[str, str], NDArray[np.float32]] = {}

    def add(self, side: Listenable) -> NDArray[np.float32] | None:
        """Take a side; return the original `[n]` if it is the second of its window and target."""
        key = side.row["window_id"], side.row["target"]
        # A side that would have left full scale was lowered as a whole.
        waveform = side.waveform / np.float32(10 ** (side.row["gain_db"] / 20))
        if key in self._other:
            original: NDArray[np.float32] = waveform + self._other.pop(key)
            return original
        self._other[key] = waveform
        return None
