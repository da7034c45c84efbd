"""Processes are found by their descent and by what they are called, and nothing else is touched."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.faults.disk import NoSmallDiskError, small_disk
from tests.faults.processes import called, descendants, kill, parents

# A parent called `one` with a child called `two`.
_SLEEP = "import time; time.sleep(60)"
_PARENT = f"""
import subprocess
subprocess.Popen(["two::child", "-c", {_SLEEP!r}], executable={sys.executable!r})
{_SLEEP}
"""


@pytest.fixture
def parent() -> Iterator[int]:
    process = subprocess.Popen(["one::parent", "-c", _PARENT], executable=sys.executable)
    yield process.pid
    kill([process.pid, *descendants(process.pid)])
    process.wait()


def wait_for_child(parent: int) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if found := called(descendants(parent), "two::"):
            return found[0]
        time.sleep(0.02)
    raise AssertionError("there is no child")


def test_descendants_are_found_and_told_apart(parent: int) -> None:
    child = wait_for_child(parent)
    assert descendants(parent) == {child}
    assert called([parent, child], "one::") == [parent]
    assert parents()[child] == parent


def test_what_is_killed_is_gone_and_counted_once(parent: int) -> None:
    child = wait_for_child(parent)
    assert kill([child]) == 1
    deadline = time.monotonic() + 20
    while child in parents() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert descendants(parent) == set()
    assert parent in parents()


def test_a_small_disk_is_full_until_it_grows(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("disk")
    try:
        with small_disk(folder, 64 << 10) as disk:
            with pytest.raises(OSError, match="No space left on device"):
                (folder / "a").write_bytes(bytes(256 << 10))
            disk.grow(1 << 20)
            (folder / "a").write_bytes(bytes(256 << 10))
    except NoSmallDiskError as error:
        pytest.skip(str(error))
    assert not list(folder.iterdir())
