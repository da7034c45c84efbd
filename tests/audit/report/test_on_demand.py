"""What is made when it is asked for: once, and kept as long as there is room."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.audit.report.on_demand import OnDemand


def test_what_was_asked_for_last_is_kept() -> None:
    made: list[str] = []

    def make(key: str) -> dict[str, bytes]:
        made.append(key)
        return {"file": bytes(40)}

    files = OnDemand(make, 100)
    for key in ("a", "b", "a", "c", "a", "b"):
        assert files.get(key) == {"file": bytes(40)}
    # When c came, b had been asked for longest ago.
    assert made == ["a", "b", "c", "b"]


def test_what_is_larger_than_all_room_is_given_all_the_same() -> None:
    files = OnDemand(lambda key: {key: bytes(1000)}, 100)
    assert len(files.get("a")["a"]) == len(files.get("b")["b"]) == 1000


def test_many_threads_that_ask_for_one_thing_wait_for_one_maker() -> None:
    made: list[str] = []
    go = threading.Event()

    def make(key: str) -> dict[str, bytes]:
        made.append(key)
        go.wait(10)
        return {key: b"x"}

    files = OnDemand(make, 100)
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(files.get, "a") for _ in range(8)]
        go.set()
        assert [one.result() for one in waiting] == [{"a": b"x"}] * 8
    assert made == ["a"]


def test_a_failure_is_raised_and_tried_again() -> None:
    results = iter([OSError("away"), {"a": b"x"}])

    def make(key: str) -> dict[str, bytes]:
        found = next(results)
        if isinstance(found, OSError):
            raise found
        return found

    files = OnDemand(make, 100)
    with pytest.raises(OSError, match="away"):
        files.get("a")
    assert files.get("a") == {"a": b"x"}
