"""The report in a real Chromium, opened from disk: it plays, answers at once, asks nothing of the network."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.audit.report.write import report
from schemas.report_config import ReportConfig
from tests.audit.report.browser import PAGES, Opened, started
from tests.audit.report.conftest import Read
from tests.audit.report.make import HOSTILE, audited, many
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
from tests.conftest import TinyRun

pytestmark = pytest.mark.slow

CLASSES = (*(f"class {number:02d}" for number in range(19)), HOSTILE)
SECONDS = 6.0
# A busy machine may take as many times what is asked of an idle one: a test is no benchmark.
BUSY = 10


def hostile_key_of(number: int) -> str:
    return f"{number:05d} {HOSTILE}" if number % 100 == 0 else key_of(number)


@pytest.fixture(scope="module")
def folder(base_run: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 10,000 windows, some of them and a class under a hostile name; the first clip's sound is long."""
    scratch = tmp_path_factory.mktemp("browser")
    run = many(base_run, str(scratch / "run"), 10_000, CLASSES, heard=0.05, key_of=hostile_key_of)
    out = scratch / "out"
    made = report(audited(run, statement=HOSTILE, subject=HOSTILE), out, config=ReportConfig(pictured=300))
    assert made.shown == 10_000
    lengthen(out, SECONDS)
    return out


def heard(folder: Path) -> int:
    """The first clip with all three sides."""
    return min(int(path.name[:5]) for path in (folder / "sounds").glob("*-0-removed.flac"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started() as found:
        yield found


@pytest.fixture
def opened(browser: Any, folder: Path) -> Iterator[Opened]:
    found = Opened(browser, folder)
    yield found
    found.context.close()


def test_no_page_fails_or_asks_for_anything_elsewhere(opened: Opened) -> None:
    for where in (*PAGES, f"clip/{heard(opened.folder)}", "clip/9999", "clips?q=recording&sort=-p"):
        opened.go(where)
        opened.page.wait_for_timeout(200)
    assert opened.errors == []
    assert {url.partition(":")[0] for url in opened.asked if url != "about:blank"} == {"file"}
    # The page itself forbids it, whatever may be in it.
    refused = opened.page.evaluate(
        "() => fetch('https://example.invalid/').then(() => 'let through', (error) => String(error))"
    )
    assert "Failed to fetch" in refused
    assert any("Content Security Policy" in said for said in opened.errors)


def test_hostile_names_are_words_and_nothing_more(opened: Opened) -> None:
    for where in (*PAGES, "clips?q=onerror"):
        page = opened.go(where)
        assert page.evaluate("() => window.hacked") is None
        assert page.evaluate("() => document.querySelectorAll('img[src=x], script:not([src])').length") == 0
    assert page.locator("#list-count").text_content() != "10,000 clips"
    shown = page.locator("#spacer .row").first.text_content()
    assert "<img src=x onerror=window.hacked=1>" in shown
    names = opened.go("").locator("#classes + .scroll tbody th").all_text_contents()
    assert HOSTILE.replace("\u2028", "") in {name.replace("\u2028", "").strip() for name in names}


def test_the_first_screen_is_there_soon(opened: Opened) -> None:
    ready, painted = first_screen(opened)
    assert 0 < ready < SCREEN_MS * BUSY
    assert painted < SCREEN_MS * BUSY
    page = opened.page
    assert page.locator(".figures").first.locator("dd").count() == 6
    assert page.locator(".finding").count() == 7


def test_a_clip_plays_and_its_sides_switch_at_the_same_instant(opened: Opened) -> None:
    page = opened.go(f"clip/{heard(opened.folder)}")
    assert page.locator("#sides button").all_text_contents() == ["Original", "Kept", "Removed"]
    play(page)
    for side in ("kept", "removed", "original"):
        page.wait_for_timeout(250)
        found = switch(page, side)
        assert (found.side, found.also_heard) == (side, 0)
        assert found.took_ms < SWITCH_MS * BUSY
        assert found.apart_s < (SWITCH_MS * BUSY + found.took_ms) / 1000
    before = page.evaluate("() => document.querySelector('audio[data-side=original]').currentTime")
    page.wait_for_timeout(200)
    assert page.evaluate("() => document.querySelector('audio[data-side=original]').currentTime") > before
    page.locator("#play").click()
    assert page.evaluate("() => [...document.querySelectorAll('audio')].every((one) => one.paused)")


def test_a_card_plays_and_stops(opened: Opened) -> None:
    page = opened.go("")
    button = page.locator("[data-play]").first
    button.click()
    page.wait_for_selector("[data-play].playing")
    button.click()
    assert page.locator("[data-play].playing").count() == 0


def test_the_overlay_fades(opened: Opened) -> None:
    page = opened.go(f"clip/{heard(opened.folder)}")
    page.wait_for_function(
        "() => document.getElementById('veil').naturalWidth && document.getElementById('spectrogram').naturalWidth"
    )
    pictures = []
    for value in (0, 50, 100):
        page.locator("#fade").fill(str(value))
        assert float(page.evaluate("() => getComputedStyle(document.getElementById('veil')).opacity")) == value / 100
        pictures.append(page.locator("#picture").screenshot())
    assert len(set(pictures)) == 3


def test_the_list_answers_at_once(opened: Opened) -> None:
    page = opened.go("clips")
    assert page.locator("#list-count").text_content() == "10,000 clips"
    for what, change in LIST_CHANGES.items():
        assert list_change(page, change) < LIST_MS * BUSY, what
    page.locator("#f-mark").select_option("")
    page.locator("#q").fill("recording 00123")
    assert page.locator("#list-count").text_content() == "1 of 10,000 clips"
    assert "recording 00123.wav" in page.locator("#spacer .row").text_content()
    assert page.evaluate("() => location.hash") == "#/clips?q=recording+00123"
    page.locator("#q").fill("")
    page.locator('[data-sort="p"]').click()
    page.locator('[data-sort="p"]').click()
    sure = [float(one) for one in page.locator("#spacer .c-p").all_text_contents()]
    assert sure == sorted(sure, reverse=True)
    assert page.locator("#spacer .row").count() < 60
    page.evaluate("() => { document.getElementById('viewport').scrollTop = 1e9; }")
    page.wait_for_selector('[data-place="9999"]')


def test_marks_are_kept_and_downloaded(opened: Opened, tmp_path: Path, data: Read) -> None:
    page = opened.go("clip/3")
    page.keyboard.press("w")
    page.locator("#mark-label").fill("class 07")
    page.locator("#mark-note").fill('says "no", twice')
    opened.go("clip/5")
    page.keyboard.press("r")
    opened.go("clip/7")
    page.keyboard.press("u")
    page.keyboard.press("u")
    opened.go("clips?mark=wrong")
    assert page.locator("#list-count").text_content() == "1 of 10,000 clips"
    with page.expect_download() as waiting:
        page.keyboard.press("d")
    waiting.value.save_as(tmp_path / "marks.csv")
    with (tmp_path / "marks.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    clips = data(opened.folder, "clips")["clip_id"]
    assert rows == [
        {"clip_id": clips[3], "mark": "wrong", "label": "class 07", "note": 'says "no", twice'},
        {"clip_id": clips[5], "mark": "right", "label": "", "note": ""},
    ]


def test_the_keyboard_reaches_everything(opened: Opened) -> None:
    page = opened.go("")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    page.wait_for_selector("#spacer .row")
    page.keyboard.press("/")
    page.wait_for_function("() => document.activeElement.id === 'q'")
    page.keyboard.type("folder-1")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    second = page.locator('[data-place="1"] a')
    assert second.evaluate("(link) => link === document.activeElement")
    name = second.text_content()
    page.keyboard.press("Enter")
    page.wait_for_function("(name) => document.getElementById('clip-title').textContent === name", arg=name)
    page.keyboard.press("j")
    page.wait_for_function("(name) => document.getElementById('clip-title').textContent !== name", arg=name)
    page.keyboard.press("v")
    assert page.locator("#fade").input_value() == "0"
    page.keyboard.press("n")
    assert page.evaluate("() => document.activeElement.id") == "mark-note"
    page.keyboard.type("w is a letter here")
    assert page.locator('[data-mark="wrong"]').get_attribute("aria-pressed") == "false"
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.wait_for_function("() => location.hash === '#/clips?q=folder-1'")


def test_the_list_is_where_it_was_left(opened: Opened) -> None:
    page = opened.go("clips?sort=-p")
    page.evaluate("() => { document.getElementById('viewport').scrollTop = 44 * 5000; }")
    link = page.locator('[data-place="5004"] a')
    link.click()
    page.wait_for_selector("#clip-near > *")
    assert page.locator("#clip-back").text_content() == "Clips, 5,005 of 10,000"
    page.locator("#clip-back").click()
    page.wait_for_selector('[data-place="5004"]')
    assert page.evaluate("() => location.hash") == "#/clips?sort=-p"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_fits_and_can_be_read_by_all(browser: Any, folder: Path, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python").Axe()
    opened = Opened(browser, folder, width, scheme)
    for where in (*PAGES, f"clip/{heard(folder)}"):
        page = opened.go(where)
        assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0, where
        found = axe.run(page).response["violations"]
        serious = [
            (one["id"], one["nodes"][0]["html"], one["nodes"][0]["failureSummary"])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == [], where
    opened.context.close()


def test_the_windows_of_a_recording_lead_to_each_other(browser: Any, tiny_run: TinyRun, tmp_path: Path) -> None:
    report(tiny_run.output, tmp_path / "out")
    opened = Opened(browser, tmp_path / "out")
    page = opened.go("clips?q=läuft")
    page.locator("#spacer a").first.click()
    page.locator("#clip-calls a", has_text="its 3 windows").click()
    page.wait_for_function("() => document.querySelectorAll('#spacer .row').length === 3")
    keys = page.locator("#spacer .c-key").all_text_contents()
    assert [key.rpartition(" at ")[2] for key in keys[1:]] == ["1 s", "2 s"]
    assert opened.errors == []
    opened.context.close()
