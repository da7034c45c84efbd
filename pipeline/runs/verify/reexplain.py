"""Windows of a run explained once more, and held against what was written of them."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.audio.decode import AudioFault, decode
from pipeline.audio.windows import cut_windows, take_window
from pipeline.inputs.listing import Listing
from pipeline.inputs.readers import read_shard
from pipeline.inputs.recording import RawRecording
from pipeline.inputs.shards import Shard, clip_id
from pipeline.lmac.explainer import Explainer, Explanation
from pipeline.models.checkpoint import ExplainerError, has_explainer
from pipeline.runs.output import RunOutput
from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.recordings import name_of
from pipeline.runs.verify.records import Outline
from pipeline.storage.filesystem import join
from schemas.records import CommitRecord, TableName

# What batches, threads and machines may change: levels of a mask, probabilities.
_LEVELS, _PROBABILITY = 1, 1e-3


@dataclass(frozen=True)
class Window:
    """A window of a run, and the part that it is in."""

    clip_id: str
    index: int
    shard_id: str
    part: int

    @property
    def window_id(self) -> str:
        """Its name in the tables."""
        return f"{self.clip_id}-{self.index:05d}"


def draw(recordings: np.ndarray, places: Sequence[str], count: int, seed: int) -> list[Window]:
    """Draw `count` windows, or all where there are fewer, each as likely; `recordings` and `places` as `check_recordings` has."""
    heard = recordings[recordings["first"] >= 0]
    ends = np.cumsum(heard["last"] - heard["first"] + 1)
    total = int(ends[-1]) if len(ends) else 0
    chosen = np.sort(np.random.default_rng(seed).choice(total, min(count, total), replace=False))
    rows = np.searchsorted(ends, chosen, side="right")
    return [
        Window(
            name_of(recording),
            int(recording["last"] + 1 - (ends[row] - number)),
            places[recording["shard"]],
            int(recording["part"]),
        )
        for number, row, recording in zip(chosen, rows, heard[rows], strict=True)
    ]


def load_recorded(output: RunOutput, outline: Outline, explainer_url: str | None) -> Explainer:
    """The explainer of a run: the one given, else the one that is saved with the output.

    Raises ExplainerError when there is none, or it is another than the run was made with.
    """
    digest, name = outline.record.explainer["digest"], outline.record.explainer["name"]
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


def explain_again(
    output: RunOutput,
    outline: Outline,
    windows: Sequence[Window],
    explainer: Explainer,
    listing: Listing,
    findings: Findings,
    step: Callable[[], object],
) -> int:
    """Explain windows from the input again, and compare labels, masks and probabilities; how many were compared.

    Labels must be the same, masks to within 1 of 255, probabilities to within 1e-3. `step` is called after each.
    """
    by_shard: dict[str, list[Window]] = defaultdict(list)
    for window in windows:
        by_shard[window.shard_id].append(window)
    shards = {shard.shard_id: shard for shard in listing.shards}
    commits = {(commit.shard_id, commit.part): commit for commit in outline.commits.values()}
    compared = 0
    for shard_id, wanted in by_shard.items():
        left = {window.window_id for window in wanted}
        written = {part: _written(output, commits[shard_id, part], left) for part in {window.part for window in wanted}}
        by_recording: dict[str, list[Window]] = defaultdict(list)
        for window in wanted:
            by_recording[window.clip_id].append(window)
        for recording in _read(listing, shards.get(shard_id), by_recording.keys()):
            for window in by_recording[recording.clip_id]:
                waveform, length = _cut(recording, window.index, explainer, outline.record.config)
                if waveform is not None:
                    made = _explain(explainer, waveform, length, outline.record.config)
                    _compare(window, made, written[window.part], explainer, outline.record.config, findings)
                    left.discard(window.window_id)
                    compared += 1
                step()
        for window_id in sorted(left):
            findings.add("not_again", shard_id, "the input has no such window any more", window_id)
    return compared


def _read(listing: Listing, shard: Shard | None, wanted: Any) -> list[RawRecording]:
    if shard is None:
        return []
    # Of loose files only those wanted are read; a tar or a Parquet file has to be gone through.
    shard = replace(shard, entries=tuple(entry for entry in shard.entries if clip_id(entry.place) in wanted))
    recordings = (recording for recording in read_shard(listing.root_url, shard) if isinstance(recording, RawRecording))
    return [recording for recording in recordings if recording.clip_id in wanted]


def _cut(
    recording: RawRecording, index: int, explainer: Explainer, config: Mapping[str, Any]
) -> tuple[np.ndarray | None, int]:
    front_end = explainer.config.front_end
    n, rate, hop_s = front_end.window_samples, front_end.sample_rate, config["window_hop_s"]
    try:
        decoded = decode(recording.data, recording.name, rate, config["max_clip_seconds"]).waveform
    except AudioFault:
        return None, 0
    spans = cut_windows(len(decoded), n, round(hop_s * rate) if hop_s else n, round(config["min_tail"] * n))
    if index >= len(spans):
        return None, 0
    return take_window(decoded, spans[index], n), spans[index].stop - spans[index].start


def _explain(explainer: Explainer, waveform: np.ndarray, length: int, config: Mapping[str, Any]) -> Explanation:
    # Soft, whatever the run's are: a binary mask is cut from it, and a level at the cut may fall on either side.
    return explainer.explain_windows(
        waveform, lengths=np.array([length]), targets=config["targets"], mask="soft", refine=config["refine"]
    )


def _written(output: RunOutput, commit: CommitRecord, wanted: set[str]) -> dict[TableName, list[dict[str, Any]]]:
    rows: dict[TableName, list[dict[str, Any]]] = {}
    for file in commit.files:
        if file.table in ("predictions", "masks"):
            data = io.BytesIO(output.read_bytes(file.path))
            rows[file.table] = pq.read_table(data, filters=[("window_id", "in", sorted(wanted))]).to_pylist()
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
        findings.add("differs_again", window.shard_id, message, window.window_id)

    names = explainer.config.labels
    masks = {row["label"]: row for row in written["masks"] if row["window_id"] == window.window_id}
    for prediction in written["predictions"]:
        if prediction["window_id"] != window.window_id:
            continue
        top, p = names[int(made.probabilities[0].argmax())], np.array(prediction["probabilities"])
        if prediction["label"] != top:
            differ(f"written: {prediction['label']!r}, explained again: {top!r}")
        elif p.shape != made.probabilities[0].shape or np.abs(p - made.probabilities[0]).max() > _PROBABILITY:
            differ("probabilities are others than when it is explained again")
    if masks.keys() != set(made.targets):
        differ(f"masks of {', '.join(sorted(masks))}; explained again: {', '.join(sorted(made.targets))}")
    for label, levels in zip(made.targets, made.mask, strict=True):
        if label not in masks:
            continue
        found = np.frombuffer(masks[label]["mask"], np.uint8).astype(int)
        again = levels.astype(int).ravel()
        if len(found) != len(again):
            differ(f"the mask of {label!r} has {len(found)} bins, explained again {len(again)}")
        elif off := int((np.abs(found - _nearest(found, again, config["mask"] == "binary")) > _LEVELS).sum()):
            differ(f"{off} bins of the mask of {label!r} are off by more than {_LEVELS} of 255")


def _nearest(found: np.ndarray, again: np.ndarray, binary: bool) -> np.ndarray:
    """What the mask made again may be: of a binary one, bins within a level of the cut are as they were written."""
    if not binary:
        return again
    near = np.abs(again - 127.5) <= 0.5 + _LEVELS
    return np.where(near, found, 255 * (again >= 128))
