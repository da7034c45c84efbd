"""Parquet as Hugging Face and others write it: which column is the audio, and what becomes of the others."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from pipeline.inputs.labels import GroundTruth
from pipeline.inputs.listing import list_input
from pipeline.inputs.names import names_of
from pipeline.inputs.recording import RawRecording, ReadFault
from pipeline.inputs.shards import clip_id
from pipeline.storage.errors import InputError
from schemas.input_config import InputConfig
from tests.inputs.make import read_all, write_files

AUDIO = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def write(path: Path, columns: dict[str, pa.Array], features: dict[str, Any] | None = None) -> Path:
    table = pa.table(columns)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)
    return path


def read(path: Path, **settings: Any) -> list[RawRecording | ReadFault]:
    return read_all(list_input(str(path), InputConfig(**settings)))


def sounds(kind: pa.DataType = AUDIO, count: int = 2) -> pa.Array:
    return pa.array([{"bytes": b"%d" % i, "path": f"{i}.wav"} for i in range(count)], kind)


def labels(items: list[RawRecording | ReadFault], **truth: Any) -> list[tuple[str, ...]]:
    found = GroundTruth(**truth)
    return [found.segments_of(item)[0].labels for item in items if isinstance(item, RawRecording)]


@pytest.mark.parametrize("features", [{"speech": {"_type": "Audio"}, "cover": {"_type": "Image"}}, None])
def test_the_column_of_audio_may_have_any_name(tmp_path: Path, features: dict[str, Any] | None) -> None:
    columns = {"speech": sounds()} | ({"cover": sounds()} if features else {})
    items = read(write(tmp_path / "t.parquet", columns, features))
    assert [item.data for item in items if isinstance(item, RawRecording)] == [b"0", b"1"]
    assert items[0].metadata == {}  # type: ignore[union-attr]


def test_several_columns_of_audio_are_a_choice(tmp_path: Path) -> None:
    audio = {"_type": "Audio"}
    path = write(tmp_path / "t.parquet", {"a": sounds(), "b": sounds()}, {"a": audio, "b": audio})
    with pytest.raises(InputError, match=r"t\.parquet: it has several columns of audio, a, b: .*--audio-column"):
        read(path)
    assert len(read(path, audio_column="B")) == 2
    with pytest.raises(InputError, match="no Parquet file in it has a column 'c'"):
        read(write(tmp_path / "u.parquet", {"x": pa.array([1])}), audio_column="c")


@pytest.mark.parametrize(
    "data", [pa.binary(), pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int32(), pa.binary())]
)
@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.string_view()])
def test_every_form_of_bytes_and_text(tmp_path: Path, data: pa.DataType, text: pa.DataType) -> None:
    names = pa.array(["dog", "cat"], text)
    if pa.types.is_dictionary(data):
        column = pa.array([b"0", b"1"]).dictionary_encode()
    else:
        column = pa.array(
            [{"bytes": b"0", "path": "0.wav"}, {"bytes": b"1", "path": "1.wav"}],
            pa.struct({"bytes": data, "path": text}),
        )
    items = read(write(tmp_path / "t.parquet", {"audio": column, "label": names}))
    assert [item.data for item in items if isinstance(item, RawRecording)] == [b"0", b"1"]
    assert labels(items) == [("dog",), ("cat",)]


def test_lists_of_labels_are_metadata_and_labels(tmp_path: Path) -> None:
    columns = {"audio": sounds(count=3), "labels": pa.array([["dog", "cat"], [], None], pa.list_(pa.string()))}
    items = read(write(tmp_path / "t.parquet", columns))
    assert items[0].metadata == {"labels": ["dog", "cat"]}  # type: ignore[union-attr]
    assert labels(items) == [("dog", "cat"), (), ()]


@pytest.mark.parametrize(
    "feature",
    [
        {"feature": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "_type": "Sequence"},
        {"feature": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "_type": "List"},
        [{"names": ["cat", "dog"], "_type": "ClassLabel"}],
    ],
)
@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.large_list(pa.int64())])
def test_sequences_of_classes_have_their_names(tmp_path: Path, feature: Any, kind: pa.DataType) -> None:
    columns = {"audio": sounds(), "labels": pa.array([[1, 0, -1], [-1]], kind)}
    items = read(write(tmp_path / "t.parquet", columns, {"audio": {"_type": "Audio"}, "labels": feature}))
    assert labels(items) == [("dog", "cat"), ()]


def test_a_class_below_zero_is_no_label(tmp_path: Path) -> None:
    feature = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    columns = {"audio": sounds(count=3), "label": pa.array([1, -1, None])}
    items = read(write(tmp_path / "t.parquet", columns, {"label": feature}))
    assert labels(items) == [("dog",), (), ()]
    assert [item.metadata["label"] for item in items if isinstance(item, RawRecording)] == ["dog", None, None]


def test_long_lists_of_numbers_are_told_by_their_length(tmp_path: Path) -> None:
    columns = {"audio": sounds(count=1), "embedding": pa.array([[0.5] * 512]), "box": pa.array([[1.0, 2.0]])}
    (item,) = read(write(tmp_path / "t.parquet", columns))
    assert item.metadata == {"embedding": "<512 values>", "box": [1.0, 2.0]}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "path", ["clips/a.wav", "./clips/a.wav", "clips\\a.wav", "data/clips/a.wav", "./data/clips/a.wav"]
)
@pytest.mark.parametrize("as_text", [False, True])
def test_paths_lie_beside_the_file_or_below_its_root(tmp_path: Path, path: str, as_text: bool) -> None:
    write_files(tmp_path, ["data/clips/a.wav"])
    column = pa.array([path]) if as_text else pa.array([{"bytes": None, "path": path}], AUDIO)
    write(tmp_path / "data" / "t.parquet", {"audio": column}, {"audio": {"_type": "Audio"}})
    (item,) = [one for one in read(tmp_path) if one.clip_id == clip_id("data/t.parquet\x000")]
    assert isinstance(item, RawRecording)
    assert (item.data, item.name) == (b"data/clips/a.wav", "a.wav")


@pytest.mark.parametrize("path", ["/etc/passwd", "../a.wav", "clips/../../a.wav", "C:\\a.wav", "s3://bucket/a.wav"])
def test_paths_that_lead_elsewhere_are_not_followed(tmp_path: Path, path: str) -> None:
    write_files(tmp_path, ["a.wav"])
    (tmp_path / "in").mkdir()
    (fault,) = read(write(tmp_path / "in" / "t.parquet", {"audio": pa.array([{"bytes": None, "path": path}], AUDIO)}))
    assert isinstance(fault, ReadFault)
    assert fault.reason == "missing"


@pytest.mark.parametrize(
    ("array", "kind", "shape"),
    [
        ([0.0, 0.5, -0.25], pa.float32(), (3, 1)),
        ([0.0, 0.5, -0.25], pa.float64(), (3, 1)),
        ([0, 16384, -8192], pa.int16(), (3, 1)),
    ],
)
def test_arrays_of_samples_are_heard_as_they_are(
    tmp_path: Path, array: list[float], kind: pa.DataType, shape: tuple[int, int]
) -> None:
    audio = pa.struct({"array": pa.list_(kind), "sampling_rate": pa.int64(), "path": pa.string()})
    cells = [
        {"array": array, "sampling_rate": 16_000, "path": "a.flac"},
        {"array": None, "sampling_rate": 1, "path": None},
    ]
    one, none = read(write(tmp_path / "t.parquet", {"speech": pa.array(cells, audio)}))
    assert isinstance(one, RawRecording)
    samples, rate = soundfile.read(io.BytesIO(one.data), always_2d=True)
    assert (rate, samples.shape) == (16_000, shape)
    np.testing.assert_array_equal(samples[:, 0], [0, 0.5, -0.25])
    assert isinstance(none, ReadFault)
    assert none.reason == "null_audio"


def test_arrays_of_channels_and_a_rate_beside_them(tmp_path: Path) -> None:
    columns = {
        "array": pa.array([[[0.5] * 100, [0.0] * 100]]),
        "sampling_rate": pa.array([8000]),
        "label": pa.array(["x"]),
    }
    (item,) = read(write(tmp_path / "t.parquet", columns))
    assert isinstance(item, RawRecording)
    samples, rate = soundfile.read(io.BytesIO(item.data))
    assert (rate, samples.shape, item.metadata) == (8000, (100, 2), {"label": "x"})


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ({"array": [[0.5], [0.5, 0.5]], "sampling_rate": 8000}, "no list of numbers"),
        ({"array": [[0.5]], "sampling_rate": 0}, "its sampling rate is 0"),
    ],
)
def test_arrays_that_are_no_sound_are_faults(tmp_path: Path, cell: dict[str, Any], why: str) -> None:
    kind = pa.struct({"array": pa.list_(pa.list_(pa.float32())), "sampling_rate": pa.int64()})
    (fault,) = read(write(tmp_path / "t.parquet", {"audio": pa.array([cell], kind)}))
    assert isinstance(fault, ReadFault)
    assert why in fault.message


def test_rows_may_be_segments(tmp_path: Path) -> None:
    columns = {
        "audio": sounds(count=4),
        "start": pa.array([0.0, 1.0, None, 3.0]),
        "end": pa.array([1.0, 2.5, None, 2.0]),
    }
    *items, bad = read(write(tmp_path / "t.parquet", columns))
    assert [[(one.start_s, one.stop_s) for one in item.segments] for item in items] == [[(0.0, 1.0)], [(1.0, 2.5)], []]
    assert isinstance(bad, ReadFault)
    assert (bad.reason, bad.message) == (
        "bad_segment",
        "t.parquet, row 3: the segment from 3 s to 2 s has no length; its end comes after its start",
    )


def test_a_folder_s_name_is_a_label_only_where_nothing_else_is_said(tmp_path: Path) -> None:
    audio = pa.array([{"bytes": b"x", "path": "rain/a.wav"}], AUDIO)
    assert labels(read(write(tmp_path / "t.parquet", {"audio": audio}))) == [("rain",)]
    assert labels(read(write(tmp_path / "u.parquet", {"audio": audio, "site": pa.array([1])}))) == [()]


@pytest.mark.parametrize("column", [sounds(), pa.array([b"0", b"1"])])
def test_names_are_known_without_the_sound(tmp_path: Path, column: pa.Array) -> None:
    path = write(tmp_path / "t.parquet", {"audio": column})
    listing = list_input(str(path))
    items = read(path)
    assert [(one.clip_id, one.key) for one in names_of(listing.root_url, listing.shards)] == [
        (item.clip_id, item.key) for item in items
    ]
