"""Chromium on a report from disk or from its server: what it logs, what it asks for, and where it stands."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
PAGES = ("", "clips", "clip/0", "class/0")


def chromium() -> str:
    """The program; the test is skipped without it."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no Chromium to open the report with: apt-get install chromium")
    return found


@contextmanager
def started() -> Iterator[Any]:
    """A browser that may play without being asked, without anything to be heard."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright drives the browser: pip install playwright"
    )
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--mute-audio"]
        browser = playwright.chromium.launch(executable_path=chromium(), args=options)
        yield browser
        browser.close()


class Opened:
    """A page of a report in a folder or at an address, and all that went wrong on it."""

    def __init__(self, browser: Any, place: Path | str, width: int = 1280, scheme: str = "light") -> None:
        self.folder = Path(place)
        self.address = place if isinstance(place, str) else (place / "index.html").as_uri()
        self.context = browser.new_context(
            viewport={"width": width, "height": 844}, color_scheme=scheme, accept_downloads=True
        )
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on(
            "console", lambda said: self.errors.append(said.text) if said.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("requestfailed", lambda request: self.errors.append(f"failed: {request.url}"))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def go(self, where: str) -> Any:
        """Open a page by its hash, and wait until it has what it shows."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}#/{where}")
        name = where.partition("/")[0].partition("?")[0] or "overview"
        self.page.wait_for_selector(f'[data-page="{name}"]:not([hidden])')
        self.page.wait_for_selector(
            {"clips": "#spacer .row", "clip": "#clip-near > *", "class": "#class-cards > *"}.get(name, "h1")
        )
        return self.page
