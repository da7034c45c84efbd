"""`verify` names planted damage to rows and listenables, though every record agrees with it."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.runs.verify.verify import verify
from schemas.draws import rank_of
from schemas.records import TableName
from schemas.tables import TABLES
from tests.runs.verify.damage import Damaged, first, one_of_list, shorter_flac
from tests.runs.verify.make import kinds, told

pytestmark = pytest.mark.slow


nan = float("nan")


def swapped(values: list[float]) -> list[float]:
    """The same values with the lowest and the highest in each other's place."""
    low, high = int(np.argmin(values)), int(np.argmax(values))
    values[low], values[high] = values[high], values[low]
    return values


def other_name(audio: dict) -> dict:
    return {**audio, "path": "elsewhere.flac"}


def no_bytes(audio: dict) -> dict:
    return {**audio, "bytes": None}


@pytest.mark.parametrize(
    ("table", "change", "kind", "words"),
    [
        ("predictions", lambda rows: rows.append(rows[0]), "doubled_row", "its key is there twice"),
        ("masks", lambda rows: rows.append(rows[0]), "doubled_row", "its key is there twice"),
        ("listenables", lambda rows: rows.append(rows[0]), "doubled_row", "its key is there twice"),
        ("errors", lambda rows: rows.append(rows[0]), "doubled_row", "its key is there twice"),
        ("predictions", lambda rows: rows.pop(1), "missing_window", "window"),
        ("masks", lambda rows: rows.pop(1), "missing_row", "no row for it, 1 expected"),
        ("faithfulness", lambda rows: rows.pop(1), "missing_row", "no row for it, 1 expected"),
        ("listenables", lambda rows: rows.pop(1), "missing_listenable", "it is drawn by --listen all, and no row"),
        ("masks", first("mask", None), "missing_mask", "it is drawn by --masks all, and not stored"),
        (
            "faithfulness",
            first("ff_audio", None),
            "missing_scores",
            "its audio is drawn by --audio-scores all, and not scored",
        ),
        ("predictions", first("probability", nan), "not_finite", "probability is NaN or infinite"),
        ("predictions", one_of_list("embedding", nan), "not_finite", "embedding is NaN or infinite"),
        ("predictions", one_of_list("probabilities", -np.inf), "not_finite", "probabilities is NaN or infinite"),
        ("faithfulness", first("comp", np.inf), "not_finite", "comp is NaN or infinite"),
        ("masks", first("energy_kept", nan), "not_finite", "energy_kept is NaN or infinite"),
        ("listenables", first("loudness_lufs", nan), "not_finite", "loudness_lufs is NaN or infinite"),
        ("faithfulness", first("sps", 1.25), "out_of_range", "sps is 1.25, outside 0 to 1"),
        ("faithfulness", first("ad", 101.0), "out_of_range", "ad is 101, outside 0 to 100"),
        ("faithfulness", first("fid_in", 0.5), "out_of_range", "fid_in is 0.5, not one of 0.0, 1.0"),
        ("masks", one_of_list("band_profile", -0.1), "out_of_range", "band_profile is -0.1, outside 0 to 1"),
        ("predictions", first("start_s", -1.0), "out_of_range", "start_s is -1, outside 0 to inf"),
        ("predictions", first("metadata", "[]"), "out_of_range", "metadata is no JSON object"),
        ("listenables", first("kind", "both"), "out_of_range", "kind is 'both', not one of masked_in, masked_out"),
        ("errors", first("size_bytes", -1), "out_of_range", "size_bytes is -1"),
        ("predictions", first("label", "low noise"), "wrong_label", "'low noise', number"),
        ("predictions", first("label_index", lambda n: (n + 1) % 3), "wrong_label", "but the most probable is"),
        ("predictions", first("probability", lambda p: p - 0.01), "wrong_probabilities", "that of the label"),
        ("predictions", one_of_list("probabilities", 0.999), "wrong_probabilities", "they sum to"),
        (
            "predictions",
            first("probabilities", lambda p: p[:-1]),
            "wrong_probabilities",
            "2 probabilities for 3 labels",
        ),
        ("predictions", first("embedding", lambda e: e[:-1]), "uneven_shapes", "embeddings of more than one length"),
        ("masks", first("target", "fish"), "wrong_targets", "'fish': no class of the explainer"),
        ("masks", first("mask", lambda m: m[:-1]), "wrong_mask", "bytes for 257 bins in 64 frames"),
        ("masks", first("mask", lambda m: bytes(255 - level for level in m)), "wrong_mask", "mask_mean is"),
        ("masks", first("n_freq", 256), "wrong_mask", "for 256 bins in 64 frames"),
        ("masks", first("hop_s", 0.5), "uneven_shapes", "masks of more than one shape"),
        ("masks", first("time_profile", lambda p: p[1:]), "wrong_mask", "time_profile has 49 values, not 50"),
        ("masks", first("band_profile", lambda p: p[1:]), "wrong_mask", "band_profile has 31 values, not 32"),
        ("masks", first("band_profile", swapped), "wrong_mask", "band_profile is not that of its bytes: value"),
        ("masks", first("time_profile", swapped), "wrong_mask", "time_profile is not that of its bytes: value"),
        ("masks", first("energy_kept", lambda e: e / 2), "scores_disagree", "differs from that in masks"),
        ("faithfulness", first("p", lambda p: p / 2), "scores_disagree", "by predictions"),
        ("faithfulness", first("ff_audio", lambda f: f / 2), "scores_disagree", "ff_audio is"),
        ("predictions", first("window_id", "f" * 32 + "-00000"), "wrong_id", "not what window"),
        ("masks", first("clip_id", "f" * 32), "wrong_id", "no window of the recording"),
        ("listenables", first("audio", other_name), "wrong_audio", "its name is 'elsewhere.flac'"),
        ("listenables", first("audio", no_bytes), "undecodable_audio", "listenables/"),
        ("listenables", first("audio", None), "undecodable_audio", "listenables/"),
        ("listenables", first("sha256", "0" * 64), "wrong_audio", "its row has another SHA-256"),
        ("listenables", first("duration_s", 0.25), "wrong_audio", "at 16000 Hz, 0.25 s by its row"),
        ("listenables", first("sample_rate", 8000), "wrong_audio", "16000 Hz, 8000 Hz by its row"),
        ("listenables", first("peak_dbfs", -60.0), "wrong_audio", "-60.00 by its row"),
    ],
)
def test_damage_to_rows_is_named_though_every_record_agrees(
    damaged: Damaged, table: str, change: Callable, kind: str, words: str
) -> None:
    parts = range(4)
    # The largest part that has rows of the table: its recordings have more windows than one.
    part = max(parts, key=lambda n: (any(f.table == table for f in damaged.commit(n).files), damaged.commit(n).windows))
    damaged.change(table, change, part)  # type: ignore[arg-type]
    found = verify(str(damaged.folder))
    assert any(line.startswith(f"{kind}: ") and words in line for line in told(found).splitlines()), told(found)
    assert "wrong_digest" not in kinds(found)
    assert "wrong_bytes" not in kinds(found)


def test_a_recording_in_predictions_and_in_errors(damaged: Damaged) -> None:
    part = max(range(4), key=lambda n: damaged.commit(n).windows)
    recording = pq.read_table(damaged.folder / damaged.file("predictions", part).path)["clip_id"][0].as_py()
    errors = next(n for n in range(4) if any(file.table == "errors" for file in damaged.commit(n).files))
    rows = pq.read_table(damaged.folder / damaged.file("errors", errors).path).slice(0, 1).to_pylist()
    table = pa.Table.from_pylist([{**rows[0], "clip_id": recording}], schema=TABLES["errors"])
    commit = damaged.commit(part)
    file = damaged.output.write_table("errors", f"{commit.shard_id}-{commit.part:06d}", table)
    damaged.state(part, files=[*commit.files, file])
    assert f"recording_in_both: {commit.shard_id}: {recording}" in told(verify(str(damaged.folder)))


def test_a_recording_in_two_shards(damaged: Damaged) -> None:
    recording = pq.read_table(damaged.folder / damaged.file("predictions", 3).path)["clip_id"][0].as_py()
    errors = next(n for n in range(4) if any(file.table == "errors" for file in damaged.commit(n).files))
    damaged.change("errors", first("clip_id", recording), errors)
    first_shard, second_shard = damaged.commit(errors).shard_id, damaged.commit(3).shard_id
    assert f"doubled_recording: {second_shard}: {recording}: it is in {first_shard} too" in told(
        verify(str(damaged.folder))
    )


def test_another_schema_version_and_another_type(damaged: Damaged) -> None:
    table = pq.read_table(damaged.folder / damaged.file("predictions").path)
    metadata = {**TABLES["predictions"].metadata, b"schema_version": b"99"}
    path = damaged.rewrite("predictions", table.replace_schema_metadata(metadata))
    assert f"wrong_schema: {path}: : schema version 99, this lmac knows 2" in told(verify(str(damaged.folder)))
    wide = table.set_column(4, pa.field("window_index", pa.int64(), False), table["window_index"].cast(pa.int64()))
    path = damaged.rewrite("predictions", wide)
    assert f"wrong_schema: {path}: : not of the schema: window_index int64;" in told(verify(str(damaged.folder)))


@pytest.mark.parametrize(
    ("table", "key", "value", "words"),
    [
        ("masks", b"band_edges_hz", b"[50.0, 8000.0]", "the schema's band_edges_hz are not those of _run.json"),
        ("masks", b"band_edges_hz", b"{", "the schema's band_edges_hz are not those of _run.json"),
        ("listenables", b"huggingface", b"{}", "the schema's huggingface is not that of the table listenables"),
        ("predictions", b"lmac_table", b"masks", "the schema's lmac_table is not that of the table predictions"),
    ],
)
def test_wrong_metadata_of_a_schema(damaged: Damaged, table: TableName, key: bytes, value: bytes, words: str) -> None:
    path = damaged.change_metadata(table, key, value)
    assert f"wrong_metadata: {path}: : {words}" in told(verify(str(damaged.folder)))


def test_wrong_band_edges_in_all_records(damaged: Damaged) -> None:
    record = json.loads((damaged.folder / "_run.json").read_text())
    record["explainer"]["band_edges_hz"][5] += 20
    (damaged.folder / "_run.json").write_text(json.dumps(record))
    edges = json.dumps(record["explainer"]["band_edges_hz"]).encode()
    for part in range(4):
        if any(file.table == "masks" for file in damaged.commit(part).files):
            damaged.change_metadata("masks", b"band_edges_hz", edges, part)
    assert verify(str(damaged.folder)).findings.counts == {"wrong_mask": 10}


def test_a_truncated_flac_and_a_shorter_one_and_none(damaged: Damaged) -> None:
    path = damaged.change_audio(lambda data: data[: len(data) // 2])
    found = verify(str(damaged.folder))
    assert kinds(found) <= {"undecodable_audio", "wrong_audio"}
    assert path in told(found)
    damaged.change_audio(shorter_flac, 2)
    assert "frames at 16000 Hz, " in told(verify(str(damaged.folder)))
    path = damaged.change_audio(lambda data: b"no sound", 3)
    assert f"undecodable_audio: {path}" in told(verify(str(damaged.folder)))


def test_a_soft_mask_in_a_run_of_binary_ones(damaged: Damaged) -> None:
    damaged.set_run(mask="binary")
    assert "the run is of binary masks, and this one is not" in told(verify(str(damaged.folder)))


def test_what_was_not_drawn(damaged: Damaged) -> None:
    damaged.set_run(listenables=["masked_in"])
    assert verify(str(damaged.folder)).findings.counts == {"stray_listenable": 10}
    damaged.set_run(listen="none", masks="none")
    assert verify(str(damaged.folder)).findings.counts == {"stray_listenable": 20, "stray_mask": 10}
    damaged.set_run(listenables=["masked_in", "masked_out"], listen="share:0.5", masks="share:0.3")
    windows = pq.ParquetDataset(damaged.folder / "predictions").read(["window_id"])["window_id"].to_pylist()
    stray = [sum(rank_of(window) >= share * 2**64 for window in windows) for share in (0.5, 0.3)]
    found = verify(str(damaged.folder)).findings.counts
    assert found == {"stray_listenable": 2 * stray[0], "stray_mask": stray[1]}
