"""Write scenes as a dataset, in each of the layouts that a run can read."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from pipeline.datasets.scenes.encode import (
    EncodedScene,
    SceneFacts,
    encode_scene,
    parquet_shard,
    scene_key,
    tar_shard,
)
from pipeline.datasets.scenes.scene import SceneConfig, SceneError, render_scene, scene_label
from pipeline.storage.errors import StorageError, storage_errors
from pipeline.storage.filesystem import display_url, is_local, open_filesystem

DatasetFormat = Literal["tar", "parquet", "flac"]

_LISTING = "scenes.csv"


@dataclass(frozen=True)
class SceneDataset:
    """The result of `write_scenes`: `files` relative to `url`, their total size, and the scenes of each label."""

    url: str
    format: DatasetFormat
    count: int
    files: tuple[str, ...]
    size_bytes: int
    labels: dict[str, int]


def write_scenes(
    url: str,
    count: int,
    seed: int,
    *,
    format: DatasetFormat = "tar",
    config: SceneConfig | None = None,
    scenes_per_shard: int = 64,
    first_index: int = 0,
) -> SceneDataset:
    """Write scenes first_index .. first_index + count - 1 of the series `seed` below `url` (any fsspec URL).

    `tar`: WebDataset shards `scenes-000000.tar`; `parquet`: `scenes-000000.parquet` with an `audio` column;
    `flac`: loose `<label>/<key>.flac` and a `scenes.csv`. The same arguments write the same bytes, given the
    same numpy, libsndfile and pyarrow.

    Raises SceneError for invalid arguments; StorageError if `url` already holds files that this call would not
    overwrite, as they would be read as part of the dataset, or if the storage refuses or is out of reach.
    """
    if format not in get_args(DatasetFormat):
        raise SceneError(f"unknown format {format!r}: use one of {', '.join(get_args(DatasetFormat))}")
    for name, value, least in (
        ("count", count, 1),
        ("scenes_per_shard", scenes_per_shard, 1),
        ("seed", seed, 0),
        ("first_index", first_index, 0),
    ):
        if value < least:
            raise SceneError(f"{name} must be at least {least}, got {value}")
    config = config or SceneConfig()
    indices = range(first_index, first_index + count)
    names = _file_names(seed, indices, format, scenes_per_shard)
    filesystem, root = open_filesystem(url)
    with storage_errors(f"listing {display_url(url)}"):
        others = {path[len(root) + 1 :] for path in filesystem.find(root)} - set(names)
    if others:
        raise StorageError(
            f"{display_url(url)} already holds {len(others)} other file(s), such as {min(others)}: "
            "choose an empty place, or delete them first"
        )

    size_bytes = 0
    for name, content in zip(names, _contents(seed, indices, config, format, scenes_per_shard), strict=True):
        with storage_errors(f"writing {display_url(url)}/{name}"):
            _write(filesystem, f"{root}/{name}", content)
        size_bytes += len(content)
    labels = Counter(scene_label(seed, index) for index in indices)
    return SceneDataset(url, format, count, tuple(names), size_bytes, dict(sorted(labels.items())))


def _file_names(seed: int, indices: range, format: DatasetFormat, scenes_per_shard: int) -> list[str]:
    if format == "flac":
        return [*(_loose_name(scene_label(seed, index), scene_key(index)) for index in indices), _LISTING]
    shards = -(-len(indices) // scenes_per_shard)
    return [f"scenes-{number:06d}.{format}" for number in range(shards)]


def _contents(
    seed: int, indices: range, config: SceneConfig, format: DatasetFormat, scenes_per_shard: int
) -> Iterator[bytes]:
    """Yield the contents of `_file_names` in order; at most one shard is in memory at a time."""

    def encoded(some: range) -> Iterator[EncodedScene]:
        return (encode_scene(render_scene(seed, index, config)) for index in some)

    if format == "flac":
        listed: list[SceneFacts] = []
        for scene in encoded(indices):
            listed.append(scene.facts)
            yield scene.flac
        yield _listing(listed)
        return
    for start in range(0, len(indices), scenes_per_shard):
        shard = encoded(indices[start : start + scenes_per_shard])
        yield tar_shard(shard) if format == "tar" else parquet_shard(shard, config.sample_rate)


def _loose_name(label: str, key: str) -> str:
    return f"{label}/{key}.flac"


def _listing(facts: list[SceneFacts]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["path", *asdict(facts[0])], lineterminator="\n")
    writer.writeheader()
    writer.writerows({"path": _loose_name(row.label, row.key), **asdict(row)} for row in facts)
    return text.getvalue().encode()


def _write(filesystem: Any, path: str, content: bytes) -> None:
    # Object stores have no folders, and creating one may need permissions that writing does not.
    if is_local(filesystem):
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
    filesystem.pipe_file(path, content)
