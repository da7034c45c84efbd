"""Explain windows of a run again, and compare them with what was written."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.audio.decode import AudioFault
from pipeline.audio.decoder_process import DecoderProcess
from pipeline.audio.windows import Span, take_window
from pipeline.inputs.clip_windows import read_spans
from pipeline.inputs.labels import GroundTruth
from pipeline.inputs.listing import Listing
from pipeline.inputs.readers import find_recordings
from pipeline.inputs.recording import FileIds, RawRecording
from pipeline.lmac.batches import Wanted, explain_batches
from pipeline.lmac.explainer import Explainer
from pipeline.models.checkpoint import ExplainerError, has_explainer, shipped
from pipeline.runs.original import samples_of
from pipeline.runs.output import RunOutput
from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.window_draw import Window
from pipeline.storage.filesystem import join
from schemas.records import CommitRecord, RunRecord, TableName
from schemas.targets import Targets

# How much another number of threads may change: levels of a mask, probabilities.
_LEVELS, _PROBABILITY = 1, 1e-3
# The same for another kind of device, by precision: the share of a mask's bins that are off by more, and probabilities.
# Measured: docs/PERFORMANCE.md.
_OTHER_DEVICE = {"fp32": (1e-3, 1e-3), "bf16": (0.05, 1e-2)}


@dataclass(frozen=True)
class _Cut:
    """A window's samples `[n]` from the input, how many of them are sound, and what the run has written about it.

    It was explained on `device`, in a batch of `batch_size`.
    """

    window: Window
    samples: np.ndarray
    length: int
    written: Mapping[TableName, list[dict[str, Any]]]
    batch_size: int
    device: str


def load_recorded(output: RunOutput, record: RunRecord, explainer_url: str | None, device: str = "cpu") -> Explainer:
    """Load the explainer of a run: the one given, else the one saved with the output or shipped under its name.

    Raises ExplainerError when there is none, or it is not the one that the run was made with, and ArgumentError for a
    device that does not exist.
    """
    digest, name = record.explainer["digest"], record.explainer["name"]
    saved = join(output.url, output.explainer_folder(digest))
    if explainer_url is None and not has_explainer(saved) and name in shipped():
        explainer_url = name
    if explainer_url is None and not has_explainer(saved):
        raise ExplainerError(
            f"the run keeps no explainer of its own (in {output.explainer_folder(digest)}): give the one it was made "
            f"with, {name!r}"
        )
    explainer = Explainer.load(explainer_url or saved, device, precision=record.config["precision"])
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
    *,
    listing: Listing,
    truth: GroundTruth,
    findings: Findings,
    step: Callable[[], object],
) -> int:
    """Explain windows from the input again, and compare them with what is written; returns how many were compared.

    They are explained in batches of the run's own size, so that on the same kind of device only the number of threads
    can make a difference: decisions and targets must be the same, stored masks equal to within 1 of 255, probabilities
    to within 1e-3. On another kind of device one bin in a thousand may be further off, in bf16 one in twenty. `step` is
    called after each.
    """
    by_clip: dict[str, list[Window]] = defaultdict(list)
    for window in windows:
        by_clip[window.clip_id].append(window)
    left = set(windows)
    waiting: dict[int, list[_Cut]] = defaultdict(list)

    def explain(size: int) -> None:
        cuts = waiting.pop(size)
        for cut, made in zip(cuts, _explained(explainer, cuts, config, size), strict=True):
            _compare(cut, made, explainer, config, findings)
            left.discard(cut.window)
            step()

    files = FileIds(by_clip.keys(), config["channel"] == "each")
    with DecoderProcess() as decoder:
        for recording in find_recordings(listing, files, {window.shard_id for window in windows}, truth):
            for window in (one for clip in recording.clip_ids for found in files.of(clip) for one in by_clip[found]):
                cut = _cut(output, window, recording, explainer, config, decoder)
                if cut is None:
                    step()
                    continue
                waiting[cut.batch_size].append(cut)
                if len(waiting[cut.batch_size]) == cut.batch_size:
                    explain(cut.batch_size)
    for size in list(waiting):
        explain(size)
    for window in sorted(left):
        message = "the input has no such window any more"
        findings.add("not_reexplained", window.shard_id, message, window.window_id)
    return len(windows) - len(left)


def _cut(
    output: RunOutput,
    window: Window,
    recording: RawRecording,
    explainer: Explainer,
    config: Mapping[str, Any],
    decoder: DecoderProcess,
) -> _Cut | None:
    """Cut a window from a recording, by its row of predictions; None if the recording no longer has that sound."""
    front_end, commit = explainer.config.front_end, output.read_part(window.shard_id, window.part)
    written = _written(output, window, commit)
    for row in written["predictions"]:
        span = samples_of(row["start_s"], row["duration_s"], front_end.sample_rate)
        channel = str(row["channel"] or config["channel"])
        try:
            (waveform,) = read_spans(recording, front_end.sample_rate, [span], channel, row["damaged"], decoder.stream)
        except AudioFault:
            return None
        if len(waveform) == span[1] - span[0]:
            samples = take_window(waveform, Span(0, len(waveform)), front_end.window_samples)
            return _Cut(window, samples, len(waveform), written, commit.batch_size, commit.device)
    return None


def _explained(
    explainer: Explainer, cuts: Sequence[_Cut], config: Mapping[str, Any], batch_size: int
) -> list[tuple[np.ndarray, list[str], np.ndarray]]:
    """Return the probabilities `[C]`, targets, and their masks `[K, F, T]` of each window."""
    every, none = np.ones(len(cuts), np.bool_), np.zeros(len(cuts), np.bool_)
    # Soft, whatever the run's are: a binary mask is a thresholded soft one, and a level there may fall on either side.
    wanted = Wanted(Targets.parse(config["targets"]), "soft", config["refine"], (), every, none, none)
    samples, lengths = np.stack([cut.samples for cut in cuts]), np.array([cut.length for cut in cuts])
    made = explain_batches(explainer, samples, lengths, wanted, batch_size)
    names = [[explainer.config.labels[index] for index in indices] for indices in made.target_index]
    return list(zip(made.probabilities, names, made.mask, strict=True))


def _written(output: RunOutput, window: Window, commit: CommitRecord) -> dict[TableName, list[dict[str, Any]]]:
    """Return what the run has written about a window: its rows of predictions and masks."""
    rows: dict[TableName, list[dict[str, Any]]] = {"predictions": [], "masks": []}
    for file in commit.files:
        if file.table in rows:
            data = io.BytesIO(output.read_bytes(file.path))
            rows[file.table] += pq.read_table(data, filters=[("window_id", "=", window.window_id)]).to_pylist()
    return rows


def _compare(
    cut: _Cut,
    made: tuple[np.ndarray, list[str], np.ndarray],
    explainer: Explainer,
    config: Mapping[str, Any],
    findings: Findings,
) -> None:
    def differ(message: str) -> None:
        findings.add("differs_reexplained", cut.window.shard_id, message, cut.window.window_id)

    probabilities, targets, made_masks = made
    share, probability = (
        (0.0, _PROBABILITY) if cut.device == explainer.device.type else _OTHER_DEVICE[config["precision"]]
    )
    masks = {row["target"]: row for row in cut.written["masks"]}
    for prediction in cut.written["predictions"]:
        top, p = explainer.config.labels[int(probabilities.argmax())], np.array(prediction["probabilities"])
        if prediction["label"] != top:
            differ(f"written: {prediction['label']!r}, explained again: {top!r}")
        elif p.shape != probabilities.shape or np.abs(p - probabilities).max() > probability:
            differ("probabilities differ when it is explained again")
    if masks.keys() != set(targets):
        differ(f"masks of {', '.join(sorted(masks))}; explained again: {', '.join(sorted(targets))}")
    for target, levels in zip(targets, made_masks, strict=True):
        if target not in masks or masks[target]["mask"] is None:
            continue
        found = np.frombuffer(masks[target]["mask"], np.uint8).astype(int)
        again = levels.astype(int).ravel()
        if len(found) != len(again):
            differ(f"the mask of {target!r} has {len(found)} bins, explained again {len(again)}")
            continue
        off = int((np.abs(found - _nearest(found, again, config["mask"] == "binary")) > _LEVELS).sum())
        if off > share * len(found):
            differ(f"{off} bins of the mask of {target!r} are off by more than {_LEVELS} of 255")


def _nearest(found: np.ndarray, again: np.ndarray, binary: bool) -> np.ndarray:
    """Return the new mask as it may be; in a binary one, bins within a level of the threshold are as written."""
    if not binary:
        return again
    near = np.abs(again - 127.5) <= 0.5 + _LEVELS
    return np.where(near, found, 255 * (again >= 128))
