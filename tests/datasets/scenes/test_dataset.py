"""Written scenes come back as they were rendered, in every format, and the same twice."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from pipeline.datasets.scenes import DatasetFormat, SceneConfig, SceneError, render_scene, write_scenes
from pipeline.datasets.scenes.encode import SceneFacts, encode_scene
from pipeline.storage.errors import StorageError

CONFIG = SceneConfig(duration_s=0.6)
COUNT, SEED, FIRST = 7, 9, 100


def read_back(folder: Path, format: str) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield (facts, FLAC) of each scene below a folder, in order of index."""
    if format == "tar":
        for shard in sorted(folder.glob("*.tar")):
            with tarfile.open(shard) as tar:
                members = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
            for key in sorted({name.split(".")[0] for name in members}):
                yield json.loads(members[f"{key}.json"]), members[f"{key}.flac"]
    elif format == "parquet":
        for shard in sorted(folder.glob("*.parquet")):
            for row in pq.read_table(shard).to_pylist():
                yield {k: v for k, v in row.items() if k != "audio"}, row["audio"]["bytes"]
    else:
        with (folder / "scenes.csv").open() as listing:
            for row in csv.DictReader(listing):
                kinds = SceneFacts.__annotations__
                cast = {"float": float, "int": int, "str": str}
                facts = {name: cast[kinds[name]](row[name]) for name in kinds}
                yield facts, (folder / row["path"]).read_bytes()


@pytest.mark.parametrize("format", get_args(DatasetFormat))
def test_what_is_read_is_the_rounded_mixture_and_its_facts(tmp_path: Path, format: DatasetFormat) -> None:
    written = write_scenes(
        str(tmp_path / "d"), COUNT, SEED, format=format, config=CONFIG, scenes_per_shard=3, first_index=FIRST
    )
    scenes = [render_scene(SEED, FIRST + i, CONFIG) for i in range(COUNT)]
    rows = list(read_back(tmp_path / "d", format))
    assert len(rows) == written.count == sum(written.labels.values()) == COUNT
    for scene, (facts, flac) in zip(scenes, rows, strict=True):
        samples, rate = soundfile.read(io.BytesIO(flac), dtype="int16")
        assert facts == asdict(encode_scene(scene).facts)
        assert facts["key"] == f"scene-{scene.index:06d}"
        assert rate == 32000
        assert np.array_equal(samples, np.rint(scene.mixture * 32768.0))
    on_disk = {str(p.relative_to(tmp_path / "d")): p.stat().st_size for p in (tmp_path / "d").rglob("*.*")}
    assert set(written.files) == set(on_disk)
    assert written.size_bytes == sum(on_disk.values())


@pytest.mark.parametrize("format", get_args(DatasetFormat))
def test_the_same_arguments_write_the_same_bytes(tmp_path: Path, format: DatasetFormat) -> None:
    digests = []
    for name in ("a", "b"):
        files = write_scenes(str(tmp_path / name), 5, 1, format=format, config=CONFIG).files
        digests.append([hashlib.sha256((tmp_path / name / file).read_bytes()).hexdigest() for file in files])
    assert digests[0] == digests[1]


def test_tar_members_carry_no_time_or_owner(tmp_path: Path) -> None:
    write_scenes(str(tmp_path), 2, 0, config=CONFIG)
    with tarfile.open(tmp_path / "scenes-000000.tar") as tar:
        assert [m.name for m in tar] == [f"scene-00000{i}.{s}" for i in range(2) for s in ("flac", "json")]
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in tar.getmembers()} == {(0, 0, 0, "", "")}


def test_parquet_tells_hugging_face_datasets_that_it_is_audio(tmp_path: Path) -> None:
    write_scenes(str(tmp_path), 2, 0, format="parquet", config=CONFIG)
    schema = pq.read_schema(tmp_path / "scenes-000000.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["audio"] == {"sampling_rate": 32000, "_type": "Audio"}
    assert set(features) == set(schema.names)


def test_shards_go_to_any_fsspec_url() -> None:
    write_scenes("memory://scenes-test/deep", 5, 0, config=CONFIG, scenes_per_shard=2)
    memory = fsspec.filesystem("memory")
    assert sorted(p.rsplit("/", 1)[1] for p in memory.find("/scenes-test/deep")) == [
        f"scenes-00000{i}.tar" for i in range(3)
    ]


def test_a_second_smaller_dataset_is_not_mixed_into_the_first(tmp_path: Path) -> None:
    write_scenes(str(tmp_path), 6, 0, config=CONFIG, scenes_per_shard=2)
    with pytest.raises(StorageError, match=r"2 other file\(s\), such as scenes-000001.tar"):
        write_scenes(str(tmp_path), 2, 0, config=CONFIG, scenes_per_shard=2)
    write_scenes(str(tmp_path), 6, 1, config=CONFIG, scenes_per_shard=2)  # replaces the whole: fine


@pytest.mark.parametrize(
    "wrong", [{"format": "wav"}, {"count": 0}, {"scenes_per_shard": 0}, {"seed": -1}, {"first_index": -5}]
)
def test_arguments_that_make_no_dataset_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    name, value = next(iter(wrong.items()))
    with pytest.raises(SceneError, match=rf"{name}.*{value}"):
        write_scenes(str(tmp_path), **{"count": 1, "seed": 0, **wrong})
    assert list(tmp_path.iterdir()) == []
