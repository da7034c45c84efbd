"""How long a report in Chromium takes: its first screen, what a person does to the list, switching sides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.audio.flac import encode_flac
from tests.audit.report.browser import Opened
from tests.flow.make import RATE

# What is asked of an idle machine.
SCREEN_MS, LIST_MS, SWITCH_MS = 1000, 100, 20
# What is done to the list of clips, in words, and the fields that it sets.
LIST_CHANGES: dict[str, dict[str, str]] = {
    "search by two words": {"q": "folder-13 class"},
    "search for one clip": {"q": "recording 00123"},
    "search for nothing": {"q": ""},
    **{f"sort by {value or 'nothing'}": {"f-sort": value} for value in ("key", "-p", "ff", "truth", "findings", "")},
    "filter by class": {"f-called": "class 03"},
    "filter by finding": {"f-called": "", "f-finding": "0"},
    "filter by mark": {"f-finding": "", "f-mark": "none"},
}


@dataclass(frozen=True)
class Switch:
    """Of a switch between sides: how long it took in ms, how far apart they were in seconds, and who is heard now."""

    took_ms: float
    apart_s: float
    side: str
    also_heard: int


def key_of(number: int) -> str:
    """The name of a recording in one of 97 folders."""
    return f"folder-{number % 97:02d}/recording {number:05d}.wav"


def lengthen(folder: Path, seconds: float) -> int:
    """Give the first clip of a report with all three sides other sounds, which last; return its number."""
    clip = min(int(path.name[:5]) for path in (folder / "sounds").glob("*-0-removed.flac"))
    t = np.arange(round(seconds * RATE)) / RATE
    for i, path in enumerate(sorted((folder / "sounds").glob(f"{clip:05d}-*.flac"))):
        path.write_bytes(encode_flac(np.asarray(0.3 * np.sin(2 * np.pi * 220 * (i + 1) * t), np.float32), RATE))
    return clip


def first_screen(opened: Opened) -> tuple[float, float]:
    """Milliseconds until the page can be used, and until something is painted, in a browser that has started."""
    opened.go("")
    timing = opened.go("").evaluate(
        "() => ({ready: performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd,"
        " painted: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0})"
    )
    return timing["ready"], timing["painted"]


def list_change(page: Any, change: dict[str, str]) -> float:
    """Milliseconds until the list of an open page shows what a change of its fields asks for."""
    took: float = page.evaluate(
        """async (change) => {
            for (const [id, value] of Object.entries(change)) document.getElementById(id).value = value;
            const started = performance.now();
            document.getElementById('filters').dispatchEvent(new Event('input'));
            await new Promise((done) => setTimeout(done, 0));
            document.getElementById('spacer').getBoundingClientRect();
            return performance.now() - started;
        }""",
        change,
    )
    return took


def play(page: Any) -> None:
    """Play the clip of an open page until it is heard."""
    page.wait_for_function("() => [...document.querySelectorAll('audio')].every((one) => one.readyState === 4)")
    page.locator("#play").click()
    page.wait_for_function("() => document.querySelector('audio[data-side=original]').currentTime > 0.6")


def switch(page: Any, side: str) -> Switch:
    """Switch a clip that plays to another of its sides."""
    found = page.evaluate(
        """(side) => {
            const heard = () => [...document.querySelectorAll('audio')].filter((one) => !one.muted && !one.paused);
            const button = document.querySelector(`[data-choose=${side}]`);
            const [before] = heard(), from = before.currentTime, started = performance.now();
            button.click();
            const [after, ...more] = heard();
            const took = performance.now() - started;
            return [took, Math.abs(after.currentTime - from), after.dataset.side, more.length];
        }""",
        side,
    )
    return Switch(*found)
