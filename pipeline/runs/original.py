"""Windows of a run as they were recorded, read again from its input."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.decoder_process import DecoderProcess
from pipeline.inputs.clip_windows import read_spans
from pipeline.inputs.listing import list_input
from pipeline.inputs.readers import find_recordings
from pipeline.inputs.recording import FileIds
from pipeline.runs.run import Run
from schemas.input_config import InputConfig


def read_originals(run: Run, window_ids: Collection[str], input_url: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield windows of a run by their names, with their samples `[n]` at the explainer's rate, in the input's order.

    Those whose recording the input does not have are left out.
    """
    rate, config = run.record.explainer["sample_rate"], run.record.config
    rows = run.sql(
        "SELECT clip_id, window_id, start_s, duration_s, channel, damaged FROM predictions "
        "WHERE list_contains(?, window_id)",
        [list(window_ids)],
    ).fetchall()
    by_clip = defaultdict(list)
    for clip_id, *row in rows:
        by_clip[clip_id].append(row)
    files = FileIds(by_clip.keys(), config["channel"] == "each")
    with DecoderProcess() as decoder:
        for recording in find_recordings(list_input(input_url, InputConfig.recorded(config)), files):
            for clip_id in (found for one in recording.clip_ids for found in files.of(one)):
                windows = by_clip.pop(clip_id, [])
                spans = [(round(start * rate), round((start + length) * rate)) for _, start, length, *_ in windows]
                channels = {str(channel or config["channel"]) for *_, channel, _ in windows} or {"mix"}
                damaged = any(damaged for *_, damaged in windows)
                waveforms = read_spans(recording, rate, spans, channels.pop(), damaged, decoder.stream)
                yield from zip((window_id for window_id, *_ in windows), waveforms, strict=True)
