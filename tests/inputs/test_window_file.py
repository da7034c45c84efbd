from __future__ import annotations

import errno
import os
from array import array
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.inputs.found_recordings import FoundRecordings
from pipeline.inputs.labels import LabelledSegment
from pipeline.inputs.window_file import (
    DiskSpaceError,
    MappedWindows,
    WindowFile,
    refuse_growth,
    refuse_lack_of_space,
)
from schemas.draws import rank_of

N = 4


def sound(number: int) -> np.ndarray:
    return np.full(N, number / 32768, np.float32)


def filled(folder: Path, names: list[str], limit: int | None) -> tuple[list[int], list[int], int]:
    """The first sample and the recording of each window that is kept, in order, and the file's bytes."""
    path = folder / "windows.i16"
    with WindowFile(path, N, limit) as file:
        for number, name in enumerate(names):
            file.add(name, sound(number), number)
        rows, recordings, _ = file.close()
    picked = MappedWindows(path, len(rows), N)[rows]
    assert (picked == picked[:, :1]).all()
    return picked[:, 0].tolist(), recordings.tolist(), path.stat().st_size


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 45), st.randoms())
def test_those_are_drawn_whose_ids_come_first_whatever_their_order(
    tmp_path_factory: pytest.TempPathFactory, count: int, limit: int, shuffle: object
) -> None:
    names = [f"clip-{number:05d}" for number in range(count)]
    shuffle.shuffle(names)  # type: ignore[attr-defined]
    wanted = set(sorted(names, key=rank_of)[:limit])
    samples, recordings, n_bytes = filled(tmp_path_factory.mktemp("w"), names, limit)
    assert samples == recordings == [number for number, name in enumerate(names) if name in wanted]
    assert n_bytes == 2 * N * min(count, limit)


def test_without_a_limit_all_are_kept_in_their_order(tmp_path: Path) -> None:
    assert filled(tmp_path, list("dcab"), None) == ([0, 1, 2, 3], [0, 1, 2, 3], 8 * N)


def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with WindowFile(tmp_path / "windows.i16", N) as file:
        file.add("a", sound(1), 0)
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(DiskSpaceError, match=r"is full: .* draw fewer with --windows N, or choose an output"):
            file.add("b", sound(2), 0)


def test_a_write_that_is_cut_short_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, start: whole(descriptor, data[:3], start))
    assert filled(tmp_path, list("abc"), None)[0] == [0, 1, 2]


def test_more_windows_than_there_is_room_for_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10**9))
    refuse_lack_of_space(tmp_path, 5_000, 100_000, "in")
    with pytest.raises(DiskSpaceError, match=r"in: 50000 windows take up to 10.0 GB in .*, where 1.0 GB are free"):
        refuse_lack_of_space(tmp_path, 50_000, 100_000, "in")


def test_an_input_that_will_not_fit_is_refused_when_that_is_sure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10**9))
    file = WindowFile(tmp_path / "windows.i16", 250_000)
    file.recordings.extend(range(1_000))  # half a gigabyte is written
    refuse_growth(file, 0.25, "in")  # 2 GB expected, 1.5 GB of room: it may be
    with pytest.raises(DiskSpaceError, match=r"in: its windows will take some 5.0 GB in .* 1.0 GB are left after 0.5"):
        refuse_growth(file, 0.1, "in")
    del file.recordings[10:]
    refuse_growth(file, 1e-6, "in")  # too early to tell


def test_recordings_of_which_no_window_is_drawn_are_forgotten_but_counted() -> None:
    found = FoundRecordings([{"fold": ["1"]}])
    for number in range(5_000):
        labels = ("x" if number % 2 else "y",)
        facts = {"fold": number % 3, "n": number}
        found.add("shard", f"{number}", LabelledSegment(f"{number}", 0.0, None, facts, labels))
    used = array("q", [4_321, 17, 4_321])
    found.forget_all_but(used)
    assert list(found.keys) == ["17", "4321"]
    assert [found.metadata[number]["n"] for number in used] == [4_321, 17, 4_321]
    assert [found.labels[number] for number in used] == [("x",), ("x",), ("x",)]
    assert found.describe(by_table=True) == "5000 of 5000 recordings have a label"
    assert found.label_names == {"x", "y"}
    assert found.chosen() == [1]  # of those that are left
