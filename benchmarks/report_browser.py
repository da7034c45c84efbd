"""How long a report takes in Chromium, opened from disk: first screen, list of clips, switching between sides.

python -m benchmarks.report_browser --windows 10000

Each is done so many times; the median and the longest in milliseconds are printed beside what is asked.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.audit.report.write import report
from tests.audit.report.browser import Opened, started
from tests.audit.report.make import audited, few, many
from tests.audit.report.timings import (
    LIST_CHANGES,
    LIST_MS,
    SCREEN_MS,
    SWITCH_MS,
    first_screen,
    key_of,
    lengthen,
    list_change,
    play,
    switch,
)

CLASSES = [f"class {number:02d}" for number in range(20)]
SECONDS = 20.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, started() as browser:
        scratch = Path(name)
        run = many(few(scratch), str(scratch / "run"), given.windows, CLASSES, heard=0.05, key_of=key_of)
        made = report(audited(run), scratch / "report")
        clip = lengthen(scratch / "report", SECONDS)
        opened = Opened(browser, scratch / "report")
        print(f"{made.shown:,} clips, {made.heard:,} with sound, Chromium {browser.version}")
        print(f"{'':34} {'median ms':>10} {'longest':>8} {'asked':>6}")
        screens = [first_screen(opened) for _ in range(given.times)]
        _show("first screen can be used", [ready for ready, _ in screens], SCREEN_MS)
        _show("something is painted", [painted for _, painted in screens], SCREEN_MS)
        page = opened.go("clips")
        for what, change in LIST_CHANGES.items():
            _show(what, [list_change(page, change) for _ in range(given.times)], LIST_MS)
        page = opened.go(f"clip/{clip}")
        play(page)
        switches = []
        for number in range(3 * given.times):
            page.wait_for_timeout(100)
            switches.append(switch(page, ("kept", "removed", "original")[number % 3]))
        _show("switch of sides", [one.took_ms for one in switches], SWITCH_MS)
        _show("how far apart the sides are", [1000 * one.apart_s for one in switches], SWITCH_MS)
        if opened.errors:
            raise SystemExit("\n".join(opened.errors))


def _show(what: str, took: Sequence[float], asked: float) -> None:
    print(f"{what:34} {statistics.median(took):10.1f} {max(took):8.1f} {asked:6.0f}", flush=True)


if __name__ == "__main__":
    main()
