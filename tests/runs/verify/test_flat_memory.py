"""What `verify` keeps while it reads, by parts that are made up."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipeline.runs.verify.files import Memory
from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.part import PartReport
from pipeline.runs.verify.recordings import NO_RECORDINGS, SeenRecordings, check_recordings
from pipeline.runs.verify.verify import _AHEAD, _read
from pipeline.runs.verify.window_draw import WindowDraw


def recordings(*rows: tuple[str, int, int], damaged: bool = False) -> np.ndarray:
    return np.array([(bytes.fromhex(name), first, last, damaged) for name, first, last in rows], NO_RECORDINGS.dtype)


def test_files_are_held_up_to_a_limit_and_a_larger_one_alone() -> None:
    memory, lock, held, most = Memory(100), threading.Lock(), 0, 0

    def hold(size: int) -> None:
        nonlocal held, most
        with memory.holding(size):
            with lock:
                held += min(size, 100)
                most = max(most, held)
            time.sleep(0.002)
            with lock:
                held -= min(size, 100)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, [30, 60, 100, 1000, 10, 45, 0] * 5))
    assert held == 0
    assert 90 <= most <= 100


def test_parts_are_read_in_order_and_a_few_ahead() -> None:
    begun: list[str] = []

    def read(path: str) -> PartReport:
        begun.append(path)
        return PartReport(path)

    paths, steps = [f"_commits/a/{number:06d}.json" for number in range(3 * _AHEAD)], []
    for number, report in enumerate(_read(read, paths, lambda _, done, of: steps.append((done, of)))):
        assert report.path == paths[number]
        assert len(begun) <= number + _AHEAD
    assert len(begun) == len(paths)
    assert steps[-1] == (len(paths), len(paths))


def test_a_recording_in_two_shards_is_found_by_sixteen_bytes() -> None:
    seen, findings = SeenRecordings(), Findings()
    for shard, names in {"a": ["00" * 16, "ab" * 15 + "00"], "b": [], "c": ["01" * 16, "ab" * 15 + "00"]}.items():
        seen.add(shard, check_recordings(recordings(*((name, 0, 2) for name in names)), shard, False, findings))
    assert not findings
    seen.check(findings)
    assert [(f.file, f.key, f.message) for f in findings.shown["doubled_recording"]] == [
        ("c", "ab" * 15 + "00", "it is in a too")
    ]


def test_windows_of_a_recording_in_several_parts_follow_each_other() -> None:
    whole = recordings(("aa" * 16, 0, 3), ("aa" * 16, 4, 4), ("aa" * 16, 5, 9), ("bb" * 16, -1, -1))
    partly = recordings(("cc" * 16, -1, -1), ("cc" * 16, 0, 2), damaged=True)
    for rows, broken, expected in [
        (whole, False, set()),
        (whole[[0, 2, 3]], False, {"missing_window"}),
        (whole[[1, 2]], False, {"missing_window"}),
        (whole[[0, 2]], True, set()),
        (whole[[0, 0, 1, 2]], False, {"doubled_row"}),
        (whole[[3, 3]], False, {"doubled_recording"}),
        (np.concatenate([whole, recordings(("bb" * 16, 0, 0))]), False, {"recording_in_both"}),
        (np.concatenate([whole, partly]), False, set()),
        (np.concatenate([whole, partly[:1]]), False, {"missing_window"}),
        (np.concatenate([whole, partly[1:]]), False, {"missing_error"}),
        (np.concatenate([partly[:1], recordings(("cc" * 16, 0, 2))]), False, {"unflagged_damage"}),
        (np.concatenate([partly, partly[:1]]), False, {"doubled_recording"}),
    ]:
        findings = Findings()
        check_recordings(rows, "shard", broken, findings)
        assert set(findings.counts) == expected


def test_windows_are_drawn_evenly_whatever_the_order_of_the_parts() -> None:
    parts = [
        recordings(*((f"{part:02x}{number:030x}", 0, number % 3) for number in range(50)), ("ff" * 16, -1, -1))
        for part in range(8)
    ]
    total = sum(number % 3 + 1 for number in range(50))
    one, other, another = WindowDraw(200, 0), WindowDraw(200, 0), WindowDraw(200, 1)
    for number, rows in enumerate(parts):
        one.add("a", number, rows)
        another.add("a", number, rows)
    for number, rows in reversed(list(enumerate(parts))):
        other.add("a", number, rows)
    assert len(one.windows) == len(set(one.windows)) == 200
    assert one.windows == other.windows != another.windows
    # Binomial: 200 of 8 parts, so 25 a part with a standard deviation of 4.
    counts = np.bincount([window.part for window in one.windows], minlength=8)
    assert counts.min() >= 10
    assert counts.max() <= 42
    everything = WindowDraw(9999, 0)
    everything.add("a", 0, parts[0])
    assert len(everything.windows) == total
