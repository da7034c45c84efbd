"""Served pages in a real Chromium: every page without an error, sound that plays and seeks, sides that switch."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.audio.flac import encode_flac
from pipeline.audit.report.browse import Browsing, browse
from pipeline.audit.report.loopback import LoopbackServer
from schemas.tables import AUDIO
from tests.audit.report.browser import PAGES, Opened, started
from tests.audit.report.make import audited, few
from tests.flow.make import RATE
from tests.s3 import S3Server, serve_s3

pytestmark = pytest.mark.slow

# Long enough to be switched, short enough to have few blocks, in which Chromium could not seek.
SECONDS = 2.0
READY = "() => [...document.querySelectorAll('audio')].every((one) => one.readyState === 4)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A bucket with a run, whose credentials are in the environment."""
    folder = tmp_path_factory.mktemp("served")
    run = audited(few(folder), members=4)
    t = np.arange(round(SECONDS * RATE)) / RATE
    flac = encode_flac(np.asarray(0.3 * np.sin(2 * np.pi * 220 * t), np.float32), RATE)
    for file in (Path(run) / "listenables").iterdir():
        table = pq.read_table(file)
        long = pa.array([{"bytes": flac, "path": "long.flac"}] * table.num_rows, AUDIO)
        pq.write_table(table.set_column(table.schema.get_field_index("audio"), table.schema.field("audio"), long), file)
    with serve_s3(folder / "s3") as found:
        shutil.copytree(run, found.bucket_dir / "run")
        yield found


@pytest.fixture(scope="module")
def served(server: S3Server) -> Iterator[Browsing]:
    told: list[str] = []
    with browse(f"{server.bucket_url}/run", told=told.append) as found:
        yield found
    assert told == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started() as found:
        yield found


@pytest.fixture
def opened(browser: Any, served: Browsing) -> Iterator[Opened]:
    found = Opened(browser, served.url)
    yield found
    found.context.close()


def test_no_page_fails_or_asks_for_anything_elsewhere(opened: Opened, served: Browsing) -> None:
    for where in (*PAGES, "clip/11", "clips?q=3&sort=-p"):
        page = opened.go(where)
        page.wait_for_load_state("networkidle")
    assert opened.errors == []
    assert all(url.startswith(served.url) for url in opened.asked if url != "about:blank")
    refused = page.evaluate("() => fetch('data/clips.js').then(() => 'let through', (error) => String(error))")
    assert "Failed to fetch" in refused


def test_a_clip_plays_seeks_and_switches_its_sides(opened: Opened) -> None:
    page = opened.go("clip/3")
    assert page.locator("#sides button").all_text_contents() == ["Original", "Kept", "Removed"]
    page.wait_for_function(READY)
    lengths = page.evaluate("() => [...document.querySelectorAll('audio')].map((one) => one.duration)")
    assert lengths == pytest.approx([SECONDS] * 3, abs=0.05)
    page.locator("#play").click()
    page.wait_for_function("() => document.querySelector('audio[data-side=original]').currentTime > 0.1")
    for side in ("kept", "removed", "original"):
        page.locator(f"[data-choose={side}]").click()
        heard = "() => [...document.querySelectorAll('audio')].filter((one) => !one.muted)"
        assert page.evaluate(f"{heard}.map((one) => one.dataset.side)") == [side]
    page.locator("#play").click()
    length = page.evaluate("() => Number(document.getElementById('clock').textContent.match(/of ([\\d.]+) s/)[1])")
    for share in (0.75, 0.25):
        page.locator("#seek").fill(str(round(share * 1000)))
        page.wait_for_function(
            "(at) => [...document.querySelectorAll('audio')]"
            ".every((one) => !one.seeking && Math.abs(one.currentTime - at) < 0.03)",
            arg=share * length,
        )
    assert opened.errors == []


def test_a_long_file_is_sought_by_ranges(browser: Any) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 120 * RATE).astype(np.float32)
    server = LoopbackServer(0, print)
    server.read = {"index.html": b"<audio src=long.flac preload=metadata>", "long.flac": encode_flac(noise, RATE)}.get
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.headers.get("range", "")) if "long" in one.url else None)
    page.goto(server.url)
    page.wait_for_function("() => document.querySelector('audio').readyState >= 1")
    page.evaluate("() => { const one = document.querySelector('audio'); one.currentTime = 100; one.play(); }")
    page.wait_for_function("() => document.querySelector('audio').currentTime > 100.2")
    assert asked[0] == "bytes=0-"
    # Those that a seek asks for begin further on.
    assert max(int(one.removeprefix("bytes=").rstrip("-")) for one in asked) > 1e6
    page.close()
    server.shutdown()
    server.server_close()


def test_the_overlay_fades(opened: Opened) -> None:
    page = opened.go("clip/5")
    page.wait_for_function(
        "() => document.getElementById('veil').naturalWidth && document.getElementById('spectrogram').naturalWidth"
    )
    pictures = []
    for value in (0, 50, 100):
        page.locator("#fade").fill(str(value))
        pictures.append(page.locator("#picture").screenshot())
    assert len(set(pictures)) == 3


def test_two_browsers_look_at_once(browser: Any, served: Browsing) -> None:
    both = [Opened(browser, served.url) for _ in range(2)]
    for where in ("clip/7", "class/0", "clip/8"):
        for opened in both:
            opened.go(where)
    for opened in both:
        opened.page.wait_for_load_state("networkidle")
        opened.page.wait_for_function(
            "() => [...document.querySelectorAll('audio')].every((one) => one.readyState === 4)"
        )
        assert opened.errors == []
        opened.context.close()


def test_the_link_leads_to_the_page(browser: Any, served: Browsing) -> None:
    opened = Opened(browser, served.url)
    opened.page.goto(served.link().as_uri())
    opened.page.wait_for_selector("h1")
    assert opened.page.url == served.url
    opened.context.close()
