"""Windows are decoded once for the same input and settings, and those that are drawn are the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.datasets.scenes import SceneConfig, write_scenes
from pipeline.inputs import load_windows as loading
from pipeline.inputs.load_windows import load_windows
from pipeline.inputs.window_cache import CACHE_FILES
from pipeline.inputs.window_set import WindowSet
from schemas.input_config import InputConfig
from tests.models.make import FRONT_END

SCENES = SceneConfig(sample_rate=16_000, duration_s=0.6)
WINDOWED = FRONT_END.model_copy(update={"window_s": 0.22})  # three windows of each scene


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Twelve scenes as FLAC, one of them broken, and a table of folds beside them."""
    folder = tmp_path / "data"
    write_scenes(str(folder), 12, 5, format="flac", config=SCENES)
    sorted(folder.rglob("*.flac"))[3].write_bytes(b"fLaC but no more than that")
    names = [path.stem for path in sorted(folder.rglob("*.flac"))]
    (tmp_path / "labels.csv").write_text(
        "\n".join(["key,label,fold", *(f"{name},{'xy'[i % 2]},{i % 3}" for i, name in enumerate(names))])
    )
    return str(folder)


def load(data: str, scratch: Path, **changes: Any) -> tuple[WindowSet, list[str]]:
    left_out: list[str] = []
    reading = InputConfig(labels=str(Path(data).parent / "labels.csv"))
    given = {"reading": reading, "need_labels": True, "on_skip": lambda key, reason: left_out.append(key), **changes}
    return load_windows(data, changes.pop("front_end", WINDOWED), scratch, **given), left_out


def refuse_to_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: object, **named: object) -> object:
        raise AssertionError("it was decoded again")

    monkeypatch.setattr(loading, "clip_windows", refused)


@pytest.mark.parametrize("changes", [{}, {"limit": 7}, {"selections": [{"fold": ["1"]}]}])
def test_the_same_call_decodes_once(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    first, left_out = load(data, tmp_path / "scratch", **changes)
    refuse_to_decode(monkeypatch)
    again, left_out_again = load(data, tmp_path / "scratch", **changes)
    assert left_out == left_out_again
    assert len(left_out) == ("selections" not in changes)
    assert again.digest() == first.digest()
    for name in ("keys", "labels", "metadata", "classes", "skipped", "about", "files"):
        assert getattr(again, name) == getattr(first, name), name
    everything = torch.arange(len(first))
    assert torch.equal(again.waveforms(everything), first.waveforms(everything))
    assert torch.equal(again.targets_of(everything), first.targets_of(everything))
    assert {path.name for path in (tmp_path / "scratch").iterdir()} <= set(CACHE_FILES)


@pytest.mark.parametrize(
    "change", ["another file", "another table", {"limit": 5}, {"selections": [{"fold": ["2"]}]}, {"need_labels": False}]
)
def test_what_changes_the_windows_is_decoded_anew(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str | dict[str, Any]
) -> None:
    load(data, tmp_path / "scratch")
    if change == "another file":
        (tmp_path / "data" / "more.flac").write_bytes(next(Path(data).rglob("*.flac")).read_bytes())
    elif change == "another table":
        table = tmp_path / "labels.csv"
        table.write_text(table.read_text().replace(",x,", ",z,"))
    refuse_to_decode(monkeypatch)
    with pytest.raises(AssertionError, match="decoded again"):
        load(data, tmp_path / "scratch", **(change if isinstance(change, dict) else {}))


def test_windows_that_were_not_written_to_the_end_are_not_used(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = load(data, tmp_path / "whole")

    def killed(key: str, reason: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(data, tmp_path / "cut", on_skip=killed)
    again, _ = load(data, tmp_path / "cut")
    assert again.digest() == whole.digest()


def test_the_windows_that_are_drawn_are_some_of_all_and_fewer_are_a_part_of_more(data: str, tmp_path: Path) -> None:
    everything, _ = load(data, tmp_path / "all")
    assert len(everything) == 33

    def sounds(windows: WindowSet) -> set[tuple[str, bytes]]:
        samples = windows.pcm(torch.arange(len(windows)))
        keys = [windows.keys[recording] for recording in windows.recording_index]
        return {(key, sample.tobytes()) for key, sample in zip(keys, samples, strict=True)}

    drawn = {limit: load(data, tmp_path / f"{limit}", limit=limit)[0] for limit in (4, 15, 100)}
    assert {limit: len(windows) for limit, windows in drawn.items()} == {4: 4, 15: 15, 100: 33}
    assert sounds(drawn[4]) < sounds(drawn[15]) < sounds(drawn[100]) == sounds(everything)
    assert (tmp_path / "15" / "windows.i16").stat().st_size == 15 * 2 * WINDOWED.window_samples
    assert drawn[15].about.endswith("15 windows drawn of 33")
    assert drawn[100].digest() == everything.digest()
    assert drawn[4].classes == everything.classes  # whether or not one has a window left
    for windows in drawn.values():
        assert np.unique(windows.recording_index).tolist() == list(range(len(windows.keys)))
