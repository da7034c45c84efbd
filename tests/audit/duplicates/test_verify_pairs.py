"""Pairs compared by the sound around their windows, each of which is read once."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.duplicates.verify_pairs import verify
from tests.audit.duplicates.make import rain, windows_of

RATE = 16_000


class Reader:
    """Reads windows of 1 s from recordings, and remembers which."""

    def __init__(self, recordings: list[NDArray[np.float32]], lacking: Collection[str] = ()) -> None:
        self.recordings, self.lacking, self.read = recordings, lacking, list[str]()

    def __call__(self, window_ids: Collection[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        for window_id in window_ids:
            recording, place = map(int, window_id.removeprefix("r").split("-"))
            self.read.append(window_id)
            if window_id not in self.lacking:
                yield window_id, self.recordings[recording][place * RATE : (place + 1) * RATE]


def test_a_copy_whose_windows_begin_elsewhere_is_found_by_what_lies_around_them() -> None:
    sound = rain(4.0, 1, RATE)
    reader = Reader([sound, sound[RATE // 2 :], rain(4.0, 2, RATE)])
    windows = windows_of([4, 4, 4])
    # No two of these windows hold more than half a second of the same.
    verified = verify(windows, np.array([[1, 5], [1, 9], [5, 9]]), reader, RATE)
    (copy,) = verified.copies
    assert (copy.first, copy.second) == (1, 5)
    assert copy.correlation > 0.99
    assert abs(copy.lag_s) == 0.5
    assert sorted(reader.read) == sorted(set(reader.read))


def test_only_candidates_and_what_lies_beside_them_is_read() -> None:
    reader = Reader([rain(9.0, seed, RATE) for seed in range(3)])
    verify(windows_of([9, 9, 9]), np.array([[4, 9]]), reader, RATE)
    assert sorted(reader.read) == ["r0-3", "r0-4", "r0-5", "r1-0", "r1-1"]


def test_pairs_whose_sound_is_not_there_are_told() -> None:
    sound = rain(1.0, 1, RATE)
    reader = Reader([sound, sound, sound], lacking=["r1-0"])
    verified = verify(windows_of([1, 1, 1]), np.array([[0, 2], [0, 1]]), reader, RATE)
    assert [(one.first, one.second) for one in verified.copies] == [(0, 2)]
    assert verified.unheard.tolist() == [1]


def test_sound_far_from_full_scale_is_compared_as_well() -> None:
    sound = rain(1.0, 1, RATE)
    reader = Reader([sound * 1e-4, sound * np.float32(1e6)])
    assert verify(windows_of([1, 1]), np.array([[0, 1]]), reader, RATE).copies[0].correlation > 0.99


def test_nothing_is_read_without_pairs() -> None:
    reader = Reader([])
    assert verify(windows_of([1, 1]), np.zeros((0, 2), np.int64), reader, RATE).copies == []
    assert reader.read == []
