"""Examples of a run: for each label the window in which it is explained best, with its sound before and after."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
import soundfile

from pipeline.audio.decode import decode
from pipeline.inputs.listing import list_input
from pipeline.inputs.readers import read_shard
from pipeline.inputs.recording import RawRecording
from pipeline.inputs.shards import clip_id, printable
from pipeline.lmac.picture import Panels
from pipeline.runs.output import RunOutput
from pipeline.runs.tables import connect
from schemas.records import TableName

_COLUMNS: dict[TableName, list[str]] = {
    "predictions": ["clip_id", "window_id", "shard", "key", "start_s", "label_true"],
    "faithfulness": ["clip_id", "window_id", "label", "p", "p_in_audio", "p_out_audio", "mask_mean", "fid_in", "ff"],
    "listenables": ["clip_id", "window_id", "label", "kind", "uri"],
}


@dataclass(frozen=True)
class Example:
    """One window and label of a run, as its tables have them; `uri` is the masked-in listenable, below the output."""

    clip_id: str
    window_id: str
    shard: str
    key: str
    start_s: float
    label: str
    label_true: str | None
    p: float
    p_in_audio: float
    p_out_audio: float
    mask_mean: float
    uri: str


def pick_examples(output_url: str, count: int) -> list[Example]:
    """Up to `count` windows of different labels explained, those with the most faithful ones (fid_in, then ff)."""
    with connect(output_url, _COLUMNS) as db:
        rows = db.execute(
            """
            SELECT clip_id, window_id, shard, key, start_s, label, label_true, p,
                   p_in_audio, p_out_audio, mask_mean, uri
            FROM faithfulness JOIN recordings USING (clip_id, window_id, label) JOIN predictions USING (clip_id,
            window_id) WHERE kind = 'masked_in' QUALIFY row_number() OVER (PARTITION BY label ORDER BY fid_in DESC, ff
            DESC, window_id) = 1 ORDER BY fid_in DESC, ff DESC, window_id, label LIMIT ?
            """,
            [count],
        ).fetchall()
    return [Example(*row) for row in rows]


def pick_windows(output_url: str, count: int) -> list[Example]:
    """All labels explained of the `count` windows whose worst explanation is the most faithful by ff, in turn."""
    with connect(output_url, _COLUMNS) as db:
        rows = db.execute(
            """
            WITH best AS (
                SELECT window_id, min(ff) AS worst FROM faithfulness GROUP BY 1 ORDER BY worst DESC, 1 LIMIT ?
            )
            SELECT clip_id, window_id, shard, key, start_s, label, label_true, p,
                   p_in_audio, p_out_audio, mask_mean, uri
            FROM best JOIN faithfulness USING (window_id) JOIN recordings USING (clip_id, window_id, label)
                 JOIN predictions USING (clip_id, window_id)
            WHERE kind = 'masked_in' ORDER BY worst DESC, window_id, p DESC, label
            """,
            [count],
        ).fetchall()
    return [Example(*row) for row in rows]


def panels_of(input_url: str, output_url: str, examples: list[Example]) -> list[Panels]:
    """What a picture of each example needs, read back from the run's input and output."""
    output = RunOutput(output_url)
    originals = _originals(input_url, examples)
    with connect(output_url, {"masks": ["window_id", "label", "mask", "n_freq", "n_frames", "hop_s", "bin_hz"]}) as db:
        masks = {
            row[:2]: row[2:]
            for row in db.execute(
                "SELECT window_id, label, mask, n_freq, n_frames, hop_s, bin_hz FROM masks "
                "WHERE window_id IN (SELECT unnest(?))",
                [[example.window_id for example in examples]],
            ).fetchall()
        }
    result = []
    for example in examples:
        masked_in, rate = soundfile.read(io.BytesIO(output.read_bytes(example.uri)), dtype="float32")
        mask, n_freq, n_frames, hop_s, bin_hz = masks[example.window_id, example.label]
        data, name = originals[example.clip_id]
        start = round(example.start_s * rate)
        result.append(
            Panels(
                waveform=decode(data, name, rate).waveform[start : start + len(masked_in)],
                masked_in=masked_in,
                mask=np.frombuffer(mask, np.uint8).reshape(n_freq, n_frames) / 255,
                sample_rate=rate,
                hop_s=hop_s,
                bin_hz=bin_hz,
                title=example.key,
                subtitle=f"{example.label}, p {example.p:.2f}; kept part alone {example.p_in_audio:.2f}, "
                f"the rest {example.p_out_audio:.2f}",
            )
        )
    return result


def _originals(input_url: str, examples: list[Example]) -> dict[str, tuple[bytes, str]]:
    wanted = {example.clip_id for example in examples}
    uris = {example.shard for example in examples}
    listing = list_input(input_url)
    # Of loose files only those wanted are read; a tar or a Parquet file has to be gone through.
    shards = [
        replace(shard, entries=tuple(entry for entry in shard.entries if clip_id(entry.place) in wanted))
        for shard in listing.shards
        if printable(shard.uri) in uris
    ]
    return {
        recording.clip_id: (recording.data, recording.name)
        for shard in shards
        for recording in read_shard(listing.root_url, shard)
        if isinstance(recording, RawRecording) and recording.clip_id in wanted
    }
