"""Windows of a run explained once more, and compared with what was written of them."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.audio.decode import AudioFault
from pipeline.audio.decoder_process import DecoderProcess
from pipeline.audio.windows import Span, take_window
from pipeline.inputs.clip_windows import read_spans
from pipeline.inputs.listing import Listing
from pipeline.inputs.readers import find_recordings
from pipeline.inputs.recording import FileIds, RawRecording
from pipeline.lmac.explainer import Explainer, Explanation
from pipeline.models.checkpoint import ExplainerError, has_explainer
from pipeline.runs.output import RunOutput
from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.window_draw import Window
from pipeline.storage.filesystem import join
from schemas.records import RunRecord, TableName

# What batches, threads and machines may change: levels of a mask, probabilities.
_LEVELS, _PROBABILITY = 1, 1e-3


def load_recorded(output: RunOutput, record: RunRecord, explainer_url: str | None) -> Explainer:
    """The explainer of a run: the one given, else the one that is saved with the output.

    Raises ExplainerError when there is none, or it is another than the run was made with.
    """
    digest, name = record.explainer["digest"], record.explainer["name"]
    saved = join(output.url, output.explainer_folder(digest))
    if explainer_url is None and not has_explainer(saved):
        raise ExplainerError(
            f"the run keeps no explainer of its own (in {output.explainer_folder(digest)}): give the one it was made "
            f"with, {name!r}"
        )
    explainer = Explainer.load(explainer_url or saved)
    if explainer.digest != digest:
        raise ExplainerError(
            f"{explainer_url or saved!r} has the digest {explainer.digest[:12]}, the run was made with {name!r} of "
            f"{digest[:12]}: give that one"
        )
    return explainer


def reexplain(
    output: RunOutput,
    config: Mapping[str, Any],
    windows: Sequence[Window],
    explainer: Explainer,
    listing: Listing,
    findings: Findings,
    step: Callable[[], object],
) -> int:
    """Explain windows from the input again, and compare them with what is written; how many were compared.

    Decisions and targets must be the same, stored masks to within 1 of 255, probabilities to within 1e-3. `step` is
    called after each.
    """
    by_clip: dict[str, list[Window]] = defaultdict(list)
    for window in windows:
        by_clip[window.clip_id].append(window)
    left = set(windows)
    files = FileIds(by_clip.keys(), config["channel"] == "each")
    with DecoderProcess() as decoder:
        for recording in find_recordings(listing, files, {window.shard_id for window in windows}):
            for window in (one for clip in recording.clip_ids for found in files.of(clip) for one in by_clip[found]):
                written = _written(output, window)
                waveform, length = _cut(recording, written["predictions"], explainer, config, decoder)
                if waveform is not None:
                    made = _explain(explainer, waveform, length, config)
                    _compare(window, made, written, explainer, config, findings)
                    left.discard(window)
                step()
    for window in sorted(left):
        message = "the input has no such window any more"
        findings.add("not_reexplained", window.shard_id, message, window.window_id)
    return len(windows) - len(left)


def _cut(
    recording: RawRecording,
    predictions: Sequence[Mapping[str, Any]],
    explainer: Explainer,
    config: Mapping[str, Any],
    decoder: DecoderProcess,
) -> tuple[np.ndarray | None, int]:
    """The window `[n]` that a row of predictions places in a recording, and how much of it is sound."""
    front_end = explainer.config.front_end
    for row in predictions:
        start = round(row["start_s"] * front_end.sample_rate)
        span = (start, start + round(row["duration_s"] * front_end.sample_rate))
        channel = str(row["channel"] or config["channel"])
        try:
            (waveform,) = read_spans(recording, front_end.sample_rate, [span], channel, row["damaged"], decoder.stream)
        except AudioFault:
            return None, 0
        if len(waveform) == span[1] - span[0]:
            return take_window(waveform, Span(0, len(waveform)), front_end.window_samples), len(waveform)
    return None, 0


def _explain(explainer: Explainer, waveform: np.ndarray, length: int, config: Mapping[str, Any]) -> Explanation:
    # Soft, whatever the run's are: a binary mask is cut from it, and a level at the cut may fall on either side.
    return explainer.explain_windows(
        waveform, lengths=np.array([length]), targets=config["targets"], mask="soft", refine=config["refine"]
    )


def _written(output: RunOutput, window: Window) -> dict[TableName, list[dict[str, Any]]]:
    """What the run has written of a window: its rows of predictions and masks."""
    rows: dict[TableName, list[dict[str, Any]]] = {"predictions": [], "masks": []}
    for file in output.read_part(window.shard_id, window.part).files:
        if file.table in rows:
            data = io.BytesIO(output.read_bytes(file.path))
            rows[file.table] += pq.read_table(data, filters=[("window_id", "=", window.window_id)]).to_pylist()
    return rows


def _compare(
    window: Window,
    made: Explanation,
    written: Mapping[TableName, list[dict[str, Any]]],
    explainer: Explainer,
    config: Mapping[str, Any],
    findings: Findings,
) -> None:
    def differ(message: str) -> None:
        findings.add("differs_reexplained", window.shard_id, message, window.window_id)

    names = explainer.config.labels
    masks = {row["target"]: row for row in written["masks"]}
    for prediction in written["predictions"]:
        top, p = names[int(made.probabilities[0].argmax())], np.array(prediction["probabilities"])
        if prediction["label"] != top:
            differ(f"written: {prediction['label']!r}, explained again: {top!r}")
        elif p.shape != made.probabilities[0].shape or np.abs(p - made.probabilities[0]).max() > _PROBABILITY:
            differ("probabilities differ when it is explained again")
    if masks.keys() != set(made.targets):
        differ(f"masks of {', '.join(sorted(masks))}; explained again: {', '.join(sorted(made.targets))}")
    for target, levels in zip(made.targets, made.mask, strict=True):
        if target not in masks or masks[target]["mask"] is None:
            continue
        found = np.frombuffer(masks[target]["mask"], np.uint8).astype(int)
        again = levels.astype(int).ravel()
        if len(found) != len(again):
            differ(f"the mask of {target!r} has {len(found)} bins, explained again {len(again)}")
        elif off := int((np.abs(found - _nearest(found, again, config["mask"] == "binary")) > _LEVELS).sum()):
            differ(f"{off} bins of the mask of {target!r} are off by more than {_LEVELS} of 255")


def _nearest(found: np.ndarray, again: np.ndarray, binary: bool) -> np.ndarray:
    """What the mask made again may be: of a binary one, bins within a level of the cut are as they were written."""
    if not binary:
        return again
    near = np.abs(again - 127.5) <= 0.5 + _LEVELS
    return np.where(near, found, 255 * (again >= 128))
