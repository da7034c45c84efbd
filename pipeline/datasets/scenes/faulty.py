"""Scenes with known faults for an audit to find: wrong labels, copies, clipped and silent recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.audio.flac import encode_flac
from pipeline.datasets.scenes.encode import EncodedScene, encode_scene, scene_key, tar_shard
from pipeline.datasets.scenes.scene import CLASSES, SceneConfig, render_scene
from pipeline.storage.errors import storage_errors

# The peaks of a clipped recording before clipping, full scale at 1; a copy's level, and what is cut off its start.
_PEAK, _COPY_GAIN, _COPY_LATER_S = 4.0, 0.5, 0.2


@dataclass(frozen=True)
class Faults:
    """The keys of the recordings with each fault; a copy is listed with the recording that it repeats."""

    wrong_labels: tuple[str, ...]
    copies: tuple[tuple[str, str], ...]
    clipped: tuple[str, ...]
    silent: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{len(self.wrong_labels)} wrong labels, {len(self.copies)} copies, "
            f"{len(self.clipped)} clipped and {len(self.silent)} silent recordings"
        )


def write_faulty_scenes(folder: Path, count: int, seed: int, scenes_per_shard: int = 64) -> Faults:
    """Write scenes 0 .. count - 1 of the series `seed` as tar shards into a folder, with faults in about one of ten.

    A copy is quieter, and its start is cut off; it is written in addition to the scenes. The same arguments write the
    same bytes. Raises StorageError if the folder cannot be written to.
    """
    order = np.random.default_rng(seed).permutation(count).tolist()
    each = max(1, count // 50)
    wrong, copied, clipped, silent = (set(order[i * each : (i + 1) * each]) for i in range(4))
    wrong |= set(order[4 * each : 5 * each])
    copies = {index: scene_key(count + number) for number, index in enumerate(sorted(copied))}

    def encoded() -> Iterator[EncodedScene]:
        for index in range(count):
            scene = render_scene(seed, index, SceneConfig())
            label = CLASSES[(CLASSES.index(scene.label) + 1) % len(CLASSES)] if index in wrong else scene.label
            sound = scene.mixture
            if index in clipped:
                sound = np.clip(sound * np.float32(_PEAK / np.abs(sound).max()), -1, 1)
            elif index in silent:
                sound = np.zeros_like(sound)
            made = encode_scene(scene)
            facts = replace(made.facts, label=label)
            yield EncodedScene(facts, encode_flac(sound, scene.sample_rate))
            if index in copies:
                later = sound[round(_COPY_LATER_S * scene.sample_rate) :] * np.float32(_COPY_GAIN)
                yield EncodedScene(replace(facts, key=copies[index]), encode_flac(later, scene.sample_rate))

    with storage_errors(f"writing {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        waiting: list[EncodedScene] = []
        number = 0
        for scene in encoded():
            waiting.append(scene)
            if len(waiting) == scenes_per_shard:
                _write(folder, number, waiting)
                waiting, number = [], number + 1
        if waiting:
            _write(folder, number, waiting)
    return Faults(
        wrong_labels=tuple(scene_key(index) for index in sorted(wrong)),
        copies=tuple((key, scene_key(index)) for index, key in copies.items()),
        clipped=tuple(scene_key(index) for index in sorted(clipped)),
        silent=tuple(scene_key(index) for index in sorted(silent)),
    )


def _write(folder: Path, number: int, scenes: list[EncodedScene]) -> None:
    (folder / f"scenes-{number:06d}.tar").write_bytes(tar_shard(scenes))
