"""Windows of a run explained once more, and compared with what was written of them."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.audio.decode import AudioFault, decode
from pipeline.audio.windows import windows_of
from pipeline.inputs.labels import GroundTruth
from pipeline.inputs.listing import Listing
from pipeline.inputs.readers import find_recordings
from pipeline.inputs.recording import RawRecording, Segment
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
    truth: GroundTruth | None = None,
) -> int:
    """Explain windows from the input again, and compare them with what is written; how many were compared.

    Decisions and targets must be the same, stored masks to within 1 of 255, probabilities to within 1e-3. `step` is
    called after each.
    """
    by_recording: dict[str, list[Window]] = defaultdict(list)
    for window in windows:
        by_recording[window.clip_id].append(window)
    left = set(windows)
    shard_ids = {window.shard_id for window in windows}
    for recording in find_recordings(listing, by_recording.keys(), shard_ids, truth):
        spans = {segment.clip_id: segment for segment in recording.segments}
        found = [window for identity in (recording.clip_id, *spans) for window in by_recording.get(identity, ())]
        for window in found:
            waveform, length = _cut(recording, spans.get(window.clip_id), window.index, explainer, config)
            if waveform is not None:
                made = _explain(explainer, waveform, length, config)
                _compare(window, made, _written(output, window), explainer, config, findings)
                left.discard(window)
            step()
    for window in sorted(left):
        message = "the input has no such window any more"
        findings.add("not_reexplained", window.shard_id, message, window.window_id)
    return len(windows) - len(left)


def _cut(
    recording: RawRecording, segment: Segment | None, index: int, explainer: Explainer, config: Mapping[str, Any]
) -> tuple[np.ndarray | None, int]:
    front_end = explainer.config.front_end
    try:
        decoded = decode(recording.data, recording.name, front_end.sample_rate, config["max_clip_seconds"]).waveform
    except AudioFault:
        return None, 0
    if segment is not None:
        rate = front_end.sample_rate
        stop = None if segment.stop_s is None else round(segment.stop_s * rate)
        decoded = decoded[round(segment.start_s * rate) : stop]
    for window in windows_of(decoded, front_end, config["window_hop_s"], config["min_tail"]):
        if window.number == index:
            return window.samples, window.span.stop - window.span.start
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
