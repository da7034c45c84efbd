"""Scenes as bytes: 16-bit FLAC, and shards of many scenes as tar or Parquet."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audio.flac import encode_flac
from pipeline.datasets.scenes.scene import Scene


@dataclass(frozen=True)
class SceneFacts:
    """The metadata written with a scene's sound; `key` names the scene within its dataset."""

    key: str
    label: str
    background_kind: str
    snr_db: float
    onset_s: float
    event_s: float
    seed: int
    index: int


@dataclass(frozen=True)
class EncodedScene:
    """A scene as it is stored: its metadata and its mixture as FLAC."""

    facts: SceneFacts
    flac: bytes


def scene_key(index: int) -> str:
    """Return the key of scene `index`: `scene-000123`."""
    return f"scene-{index:06d}"


def encode_scene(scene: Scene) -> EncodedScene:
    """Encode a scene: its metadata, and its mixture as 16-bit FLAC."""
    facts = SceneFacts(
        key=scene_key(scene.index),
        label=scene.label,
        background_kind=scene.background_kind,
        snr_db=scene.snr_db,
        onset_s=scene.onset_s,
        event_s=scene.event_s,
        seed=scene.seed,
        index=scene.index,
    )
    return EncodedScene(facts, encode_flac(scene.mixture, scene.sample_rate))


def tar_shard(scenes: Iterable[EncodedScene]) -> bytes:
    """Pack a WebDataset shard: `<key>.flac` and `<key>.json` for each scene, without times and owners."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for scene in scenes:
            for suffix, content in (("flac", scene.flac), ("json", json.dumps(asdict(scene.facts)).encode())):
                # TarInfo's defaults of mtime, uid and gid are 0, so equal scenes make equal bytes.
                member = tarfile.TarInfo(f"{scene.facts.key}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def parquet_shard(scenes: Iterable[EncodedScene], sample_rate: int) -> bytes:
    """Pack a Parquet file with one row per scene, `audio` as Hugging Face `datasets` stores and decodes it."""
    rows = [
        {"audio": {"bytes": scene.flac, "path": f"{scene.facts.key}.flac"}, **asdict(scene.facts)} for scene in scenes
    ]
    facts = [
        *((name, pa.string(), "string") for name in ("key", "label", "background_kind")),
        *((name, pa.float64(), "float64") for name in ("snr_db", "onset_s", "event_s")),
        *((name, pa.int64(), "int64") for name in ("seed", "index")),
    ]
    features: dict[str, dict[str, object]] = {"audio": {"sampling_rate": sample_rate, "_type": "Audio"}}
    features |= {name: {"dtype": dtype, "_type": "Value"} for name, _, dtype in facts}
    schema = pa.schema(
        [
            pa.field("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            *(pa.field(name, arrow_type) for name, arrow_type, _ in facts),
        ],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer, compression="zstd")
    return buffer.getvalue()
