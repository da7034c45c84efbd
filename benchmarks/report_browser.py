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

import numpy as np

from pipeline.audio.flac import encode_flac
from pipeline.audit.report.write import report
from tests.audit.report.browser import Opened, started
from tests.audit.report.make import audited, few, many
from tests.audit.report.timings import LIST_CHANGES, first_screen, list_change, play, switch
from tests.flow.make import RATE

CLASSES = [f"class {number:02d}" for number in range(20)]
SECONDS, FIRST_SCREEN_MS, LIST_MS, SWITCH_MS = 20.0, 1000, 100, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, started() as browser:
        scratch = Path(name)
        run = many(
            few(scratch), str(scratch / "run"), given.windows, CLASSES, heard=0.05, key_of="recording {:05d}.wav".format
        )
        made = report(audited(run), scratch / "report")
        clip = _lengthen(scratch / "report")
        opened = Opened(browser, scratch / "report")
        print(f"{made.shown:,} clips, {made.heard:,} with sound, Chromium {browser.version}")
        print(f"{'':34} {'median ms':>10} {'longest':>8} {'asked':>6}")
        screens = [first_screen(opened) for _ in range(given.times)]
        _show("first screen can be used", [ready for ready, _ in screens], FIRST_SCREEN_MS)
        _show("something is painted", [painted for _, painted in screens], FIRST_SCREEN_MS)
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


def _lengthen(folder: Path) -> int:
    """The first clip of a report with all three sides, which get a sound that lasts."""
    clip = min(int(path.name[:5]) for path in (folder / "sounds").glob("*-0-removed.flac"))
    t = np.arange(round(SECONDS * RATE)) / RATE
    for i, path in enumerate(sorted((folder / "sounds").glob(f"{clip:05d}-*.flac"))):
        path.write_bytes(encode_flac(np.asarray(0.3 * np.sin(2 * np.pi * 220 * (i + 1) * t), np.float32), RATE))
    return clip


def _show(what: str, took: Sequence[float], asked: float) -> None:
    print(f"{what:34} {statistics.median(took):10.1f} {max(took):8.1f} {asked:6.0f}", flush=True)


if __name__ == "__main__":
    main()
