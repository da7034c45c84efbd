"""Spans of work: taken where a process is traced, written for a viewer."""

from __future__ import annotations

import gc
import json
import platform
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline import trace as module
from pipeline.trace import Span, Trace, fetch_spans, span, spans_of_items, trace


@pytest.fixture
def traced() -> Iterator[None]:
    trace(True, "test")
    yield
    trace(False, "")


def test_nothing_is_taken_where_nothing_is_traced() -> None:
    with span("work"):
        pass
    assert list(spans_of_items("items", iter("ab"))) == ["a", "b"]
    assert fetch_spans() == ()


@pytest.mark.usefixtures("traced")
def test_a_span_lasts_as_long_as_its_work_and_is_fetched_once() -> None:
    before = time.time()
    with span("outer"):
        time.sleep(0.02)
        with span("inner"):
            time.sleep(0.03)
    inner, outer = fetch_spans()
    assert (inner.name, outer.name, inner.role) == ("inner", "outer", "test")
    assert inner.seconds >= 0.03
    assert outer.seconds >= inner.seconds + 0.02
    assert before <= outer.start_s <= inner.start_s
    assert inner.start_s + inner.seconds <= outer.start_s + outer.seconds + 0.01
    assert fetch_spans() == ()
    # It goes on when it is told once more, and work that fails has taken its time as well.
    trace(True, "test")
    with pytest.raises(KeyError), span("fails"):
        raise KeyError
    assert [one.name for one in fetch_spans()] == ["fails"]


@pytest.mark.usefixtures("traced")
def test_the_wait_for_each_item_is_a_span() -> None:
    def slow() -> Iterator[int]:
        for number in range(3):
            time.sleep(0.01)
            yield number

    begun = time.perf_counter()
    for _ in spans_of_items("wait", slow()):
        time.sleep(0.05)
    elapsed = time.perf_counter() - begun
    waits = fetch_spans()
    # The last says that there are no more.
    assert [one.name for one in waits] == ["wait"] * 4
    assert all(one.seconds >= 0.01 for one in waits[:3])
    assert sum(one.seconds for one in waits) <= elapsed - 3 * 0.05


@pytest.mark.parametrize("on", [False, True])
def test_an_item_is_free_when_its_reader_lets_go_of_it(on: bool) -> None:
    class Item: ...

    trace(on, "test")
    items = spans_of_items("wait", (Item() for _ in range(2)))
    held = weakref.ref(next(items))
    gc.collect()
    assert held() is None
    trace(False, "")


def test_processes_of_one_number_on_two_nodes_are_two(tmp_path: Path) -> None:
    spans = [Span("classify", 0.0, 1.0, node, 7, 7, role) for node, role in (("a", "explain"), ("b", "decode"))]
    taken = Trace()
    taken.take(spans)
    taken.write(tmp_path / "trace.json")
    names, events = {}, []
    for one in json.loads((tmp_path / "trace.json").read_text())["traceEvents"]:
        if one["ph"] == "M":
            names[one["pid"]] = one["args"]["name"]
        else:
            events.append(one)
    assert [names[one["pid"]] for one in events] == ["explain on a", "decode on b"]


@pytest.mark.usefixtures("traced")
def test_threads_have_rows_of_their_own(tmp_path: Path) -> None:
    def work(name: str) -> None:
        with span(name):
            time.sleep(0.05)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, ["one", "two"]))
    taken = Trace()
    taken.take(fetch_spans())
    taken.write(tmp_path / "trace.json")
    written = json.loads((tmp_path / "trace.json").read_text())
    process, *events = written["traceEvents"]
    assert (process["ph"], process["args"]["name"]) == ("M", f"test on {platform.node()}")
    assert {one["name"]: one["ph"] for one in events} == {"one": "X", "two": "X"}
    assert len({one["tid"] for one in events}) == 2
    assert min(one["ts"] for one in events) == 0
    assert all(one["dur"] >= 50_000 for one in events)
    assert written["otherData"] == {"spans": 2, "left_out": 0}


@pytest.mark.usefixtures("traced")
def test_what_is_too_much_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    for _ in range(5):
        with span("work"):
            pass
    taken = Trace()
    taken.take(fetch_spans())
    taken.take(())
    assert (len(taken.spans), taken.left_out) == (3, 2)
    Trace().write(tmp_path / "empty.json")
    assert json.loads((tmp_path / "empty.json").read_text())["traceEvents"] == []
