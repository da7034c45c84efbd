from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.datasets.scenes import DatasetFormat, SceneConfig, render_scene, scene_label, write_scenes
from pipeline.inputs.load_windows import load_windows
from pipeline.inputs.selection import SelectionError
from pipeline.inputs.window_set import TrainingDataError, WindowSet
from schemas.input_config import InputConfig
from tests.flow.make import encoded, sound, write_folder
from tests.inputs.make import write_parquet
from tests.models.make import FRONT_END

COUNT, SEED = 6, 5
SCENES = SceneConfig(sample_rate=16_000, duration_s=0.6)
WINDOWED = FRONT_END.model_copy(update={"window_s": 0.22})  # two whole windows of each scene, and three quarters of one


def write(folder: Path, format: DatasetFormat) -> str:
    write_scenes(str(folder), COUNT, SEED, format=format, config=SCENES, scenes_per_shard=4)
    return str(folder)


@pytest.mark.parametrize("format", ["tar", "flac"])
def test_every_scene_is_there_with_its_label_and_its_sound(tmp_path: Path, format: DatasetFormat) -> None:
    windows = load_windows(write(tmp_path / "data", format), WINDOWED, tmp_path / "scratch", need_labels=True)
    assert len(windows) == 3 * COUNT
    assert windows.skipped == 0
    assert windows.classes == tuple(sorted({scene_label(SEED, i) for i in range(COUNT)}))
    for recording, key in enumerate(windows.keys):
        index = int(key.split("scene-")[1][:6])
        rows = torch.from_numpy(np.flatnonzero(windows.recording_index == recording))
        scene = render_scene(SEED, index, SCENES)
        padded = np.zeros(3 * WINDOWED.window_samples, np.float32)
        padded[: len(scene.mixture)] = scene.mixture
        np.testing.assert_allclose(windows.waveforms(rows).flatten(), padded, atol=1 / 32768)
        assert windows.labels[recording] == (scene.label,)
        assert {windows.classes[i] for i in windows.targets_of(rows).argmax(1).tolist()} == {scene.label}


def test_an_end_of_less_than_half_a_window_is_not_trained_on(tmp_path: Path) -> None:
    front_end = FRONT_END.model_copy(update={"window_s": 0.25})  # two whole windows, and 0.4 of one
    windows = load_windows(write(tmp_path / "data", "tar"), front_end, tmp_path / "scratch")
    assert windows.recording_index.tolist() == [recording for recording in range(COUNT) for _ in range(2)]


def test_a_broken_file_is_left_out_and_reported(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "flac")
    broken = tmp_path / "data" / scene_label(SEED, 0) / "broken.flac"
    broken.write_bytes(b"fLaC but no more than that")
    reported: list[tuple[str, str]] = []
    windows = load_windows(folder, WINDOWED, tmp_path / "scratch", on_skip=lambda *what: reported.append(what))
    assert len(windows.keys) == COUNT
    assert windows.skipped == 1
    assert [key.endswith("broken.flac") or key.endswith("broken") for key, _ in reported] == [True]
    assert reported[0][1]


def test_an_input_of_broken_files_only_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"no sound")
    with pytest.raises(TrainingDataError, match="none of the 1 recordings"):
        load_windows(str(tmp_path / "a.flac"), WINDOWED, tmp_path / "scratch")


def test_labels_and_columns_come_from_a_table_where_one_is_given(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "tar")
    rows = [f"scene-{i:06d},{'even' if i % 2 == 0 else 'odd'},{i % 3}" for i in range(COUNT)]
    (tmp_path / "labels.csv").write_text("\n".join(["key,label,fold", *rows]))
    reading = InputConfig(labels=str(tmp_path / "labels.csv"))
    windows = load_windows(folder, WINDOWED, tmp_path / "scratch", reading=reading, need_labels=True)
    assert windows.classes == ("even", "odd")
    assert len(windows.where({"fold": ["0", "2"]}).keys) == 4


def test_classes_that_are_given_keep_their_order_and_refuse_others(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "tar")
    names = sorted({scene_label(SEED, i) for i in range(COUNT)}, reverse=True)
    windows = load_windows(folder, WINDOWED, tmp_path / "scratch", classes=names, need_labels=True)
    assert windows.classes == tuple(names)
    with pytest.raises(TrainingDataError, match=f"no class for these labels: {names[0]}"):
        load_windows(folder, WINDOWED, tmp_path / "other", classes=names[1:], need_labels=True)


def test_a_recording_without_label_is_named_where_labels_are_needed(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "tar")
    with pytest.raises(TrainingDataError, match=r"6 of 6 recordings have no label, '.*scene-000000"):
        load_windows(
            folder, WINDOWED, tmp_path / "scratch", reading=InputConfig(label_column="colour"), need_labels=True
        )
    assert (
        load_windows(folder, WINDOWED, tmp_path / "scratch", reading=InputConfig(label_column="colour")).labels
        == ((),) * COUNT
    )


def test_a_recording_that_the_table_forgot_is_not_of_its_folders_class(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "flac")
    (tmp_path / "labels.csv").write_text("key,label\nscene-000000,even\nscene-000001,odd\n")
    reading = InputConfig(labels=str(tmp_path / "labels.csv"))
    windows = load_windows(folder, WINDOWED, tmp_path / "scratch", reading=reading, need_labels=True)
    assert (windows.classes, len(windows.keys)) == (("even", "odd"), 2)
    assert windows.about == "2 of 6 recordings have a label"


@pytest.mark.parametrize("format", ["tar", "flac"])
def test_a_selection_at_loading_leaves_what_it_leaves_of_everything(tmp_path: Path, format: DatasetFormat) -> None:
    folder = write(tmp_path / "data", format)
    rows = [f"scene-{i:06d},{'even' if i % 2 == 0 else 'odd'},{i % 3}" for i in range(COUNT)]
    (tmp_path / "labels.csv").write_text("\n".join(["key,label,fold", *rows]))
    reading = InputConfig(labels=str(tmp_path / "labels.csv"))
    everything = load_windows(folder, WINDOWED, tmp_path / "all", reading=reading, need_labels=True)
    for selections in ([{"fold": ["1"]}], [{"fold": ["1"]}, {"fold": ["0"], "label": ["even"]}]):
        chosen = load_windows(
            folder, WINDOWED, tmp_path / "some", reading=reading, need_labels=True, selections=selections
        )
        recordings = [i for i, row in enumerate(everything.metadata) if row["fold"] == "1"]
        recordings += [i for i, row in enumerate(everything.metadata) if row["fold"] == "0" and row["label"] == "even"]
        wanted = everything.recordings(sorted(recordings[: 2 * len(selections)]))
        assert chosen.keys == wanted.keys
        assert chosen.digest() == wanted.digest()
        assert chosen.classes == ("even", "odd")
        assert (tmp_path / "some" / "windows.i16").stat().st_size == 2 * len(chosen) * WINDOWED.window_samples


BROKEN = b"RIFF but no more than that"


def loose_with_a_table(folder: Path) -> tuple[str, InputConfig]:
    write_folder(folder / "data", {"one.wav": encoded(sound(0.3)), "two.wav": BROKEN})
    (folder / "labels.csv").write_text("path,label,fold\none.wav,x,1\ntwo.wav,y,2\n")
    return str(folder / "data"), InputConfig(labels=str(folder / "labels.csv"))


def loose_with_sidecars(folder: Path) -> tuple[str, InputConfig]:
    write_folder(folder, {"one.wav": encoded(sound(0.3)), "two.wav": BROKEN})
    for name, facts in (("one", {"label": "x", "fold": 1}), ("two", {"label": "y", "fold": 2})):
        (folder / f"{name}.json").write_text(json.dumps(facts))
    return str(folder), InputConfig()


def a_manifest_of_what_is_not_there(folder: Path) -> tuple[str, InputConfig]:
    write_folder(folder, {"one.wav": encoded(sound(0.3))})
    (folder / "recordings.csv").write_text("uri,label,fold\none.wav,x,1\ntwo.wav,y,2\n")
    return str(folder / "recordings.csv"), InputConfig()


def a_tar(folder: Path) -> tuple[str, InputConfig]:
    loose_with_sidecars(folder / "files")
    with tarfile.open(folder / "recordings.tar", "w") as tar:
        for path in sorted((folder / "files").iterdir()):
            tar.add(path, path.name)
    return str(folder / "recordings.tar"), InputConfig()


@pytest.mark.parametrize("source", [loose_with_a_table, loose_with_sidecars, a_manifest_of_what_is_not_there, a_tar])
def test_what_is_not_selected_is_not_decoded_but_its_class_counts(
    tmp_path: Path, source: Callable[[Path], tuple[str, InputConfig]]
) -> None:
    url, reading = source(tmp_path)
    reported: list[str] = []
    windows = load_windows(
        url,
        WINDOWED,
        tmp_path / "scratch",
        reading=reading,
        need_labels=True,
        selections=[{"fold": ["1"]}],
        on_skip=lambda key, reason: reported.append(key),
    )
    assert windows.labels == (("x",),)
    assert windows.classes == ("x", "y")
    assert windows.targets_of(torch.arange(len(windows))).tolist() == [[1, 0]] * len(windows)
    assert (windows.skipped, reported) == (0, [])
    load_windows(url, WINDOWED, tmp_path / "all", reading=reading, on_skip=lambda key, reason: reported.append(key))
    assert [key.removesuffix(".wav") for key in reported] == ["two"]


def test_a_selection_of_what_cannot_be_decoded_leaves_nothing(tmp_path: Path) -> None:
    url, reading = loose_with_a_table(tmp_path)
    with pytest.raises(SelectionError, match="no recording is left of 1 where fold is one of 2"):
        load_windows(url, WINDOWED, tmp_path / "scratch", reading=reading, selections=[{"fold": ["2"]}])
    with pytest.raises(SelectionError, match="no recording is left of 1 where fold is one of 7"):
        load_windows(
            url, WINDOWED, tmp_path / "scratch", reading=reading, selections=[{"fold": ["7"]}, {"fold": ["2"]}]
        )


def test_a_selection_by_a_column_that_is_not_there_is_refused_at_loading(tmp_path: Path) -> None:
    url, reading = loose_with_a_table(tmp_path)
    with pytest.raises(SelectionError, match=r"no recording has a column 'colour' to select by; there are: .*fold"):
        load_windows(url, WINDOWED, tmp_path / "scratch", reading=reading, selections=[{"colour": ["red"]}])


def made(samples: np.ndarray | None = None) -> WindowSet:
    """Four recordings of 2, 1, 3 and 1 windows; the samples of a window are its number."""
    numbers = np.arange(7, dtype="<i2")[:, None].repeat(5, axis=1) if samples is None else samples
    return WindowSet(
        samples=numbers,
        recording_index=np.array([0, 0, 1, 2, 2, 2, 3]),
        keys=("a", "b", "c", "d"),
        labels=(("x",), ("y",), ("x", "y"), ()),
        metadata=({"fold": 1}, {"fold": "2", "take": "A"}, {"fold": 2, "take": "B"}, {}),
        classes=("y", "x"),
    )


def test_a_selection_keeps_the_windows_of_its_recordings_with_their_labels() -> None:
    chosen = made().where({"fold": ["2"]})
    assert chosen.keys == ("b", "c")
    assert (chosen.waveforms(torch.arange(4))[:, 0] * 32768).tolist() == [2, 3, 4, 5]
    assert chosen.recording_index.tolist() == [0, 1, 1, 1]
    assert chosen.targets_of(torch.arange(4)).tolist() == [[1, 0], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
    assert chosen.where({"take": ["B"]}).keys == ("c",)


def test_recordings_are_numbered_in_the_order_they_are_chosen_in() -> None:
    chosen = made().recordings([3, 0])
    assert chosen.keys == ("d", "a")
    assert [chosen.keys[i] for i in chosen.recording_index] == ["a", "a", "d"]
    assert (chosen.waveforms(torch.arange(3))[:, 0] * 32768).tolist() == [0, 1, 6]


def test_a_window_without_label_is_of_no_class() -> None:
    assert made().targets_of(torch.tensor([6, 0])).tolist() == [[0, 0], [0, 1]]


def test_waveforms_are_scaled_to_full_scale_one() -> None:
    samples = np.array([[-32768, 0, 16384]], "<i2").repeat(7, axis=0)
    assert made(samples).waveforms(torch.tensor([4])).tolist() == [[-1.0, 0.0, 0.5]]


def test_the_digest_follows_samples_and_labels() -> None:
    other = made().samples.copy()
    other[3, 2] += 1
    assert made().digest() == made().digest()
    assert len({made().digest(), made(other).digest(), made().recordings([0, 1]).digest()}) == 3


def test_recordings_of_one_name_keep_their_own_labels(tmp_path: Path) -> None:
    rows = [
        {"audio": {"bytes": encoded(sound(0.22 * n, seed=n)), "path": f"/{n}/x.wav"}, "label": f"label {n}"}
        for n in (1, 2, 3, 4)
    ]
    write_parquet(tmp_path / "a.parquet", rows)
    windows = load_windows(str(tmp_path / "a.parquet"), WINDOWED, tmp_path / "scratch", need_labels=True)
    assert len(set(windows.keys)) == 4
    assert windows.labels == tuple((f"label {n}",) for n in (1, 2, 3, 4))
    assert windows.recording_index.tolist() == [n - 1 for n in (1, 2, 3, 4) for _ in range(n)]
