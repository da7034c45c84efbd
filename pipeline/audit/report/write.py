"""`lmac report`: write a run and its findings as static files that open from disk and need no network."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

from pipeline.audit.report.folder import ReportFolder
from pipeline.audit.report.page import PAGE
from pipeline.audit.report.pages import Pages
from pipeline.audit.report.sound_budget import affordable, files_within
from pipeline.runs.original import Originals
from pipeline.runs.run import open_run
from pipeline.storage.filesystem import join
from schemas.report_config import ReportConfig

FOLDER = "report"

Step = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """A report that was written: where its first page is, what it shows, and how large it is.

    `findings` are counted as an audit does, without candidates and typical recordings; None without an audit.
    """

    page: str
    windows: int
    shown: int
    pictured: int
    heard: int
    findings: int | None
    files: int
    bytes: int


def report(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    input_url: str | os.PathLike[str] | None = None,
    config: ReportConfig | None = None,
    step: Step = lambda what: None,
) -> Report:
    """Write the report of a run at a path or URL, with the findings of its audit where there is one.

    It goes to `out`, by default the folder `report` in the run; an earlier report there is replaced. Original sound is
    the sum of both sides where the run has both, else it is read from `input_url` if passed. `step` is called with
    what is being done. Raises StorageError if the run has not ended or `out` holds something else, InputError if a
    window cannot be read again from the input.

    >>> from lmac import open_run, report
    >>> made = report(open_run("explained").url, "heard")
    >>> made.page, made.shown, made.heard
    ('heard/index.html', 10, 10)
    """
    config = config or ReportConfig()
    opened = open_run(run)
    url = join(opened.url, FOLDER) if out is None else os.fspath(out)
    with nullcontext() if input_url is None else Originals(opened, os.fspath(input_url)) as originals:
        step("reading tables")
        pages = Pages(opened, config.windows, originals)
        windows, media = pages.windows, pages.media
        folder = ReportFolder(url)
        step("reading sound")
        places = affordable(opened, windows, media, config, originals is not None)
        folder.write(files_within(media, places, config.sound_mb))
    step("writing pages")
    folder.write((path, pages.read(path)) for path in pages.paths())
    return Report(
        page=join(url, PAGE),
        windows=pages.sample.windows,
        shown=len(windows.rows),
        pictured=media.pictured,
        heard=media.heard,
        findings=pages.claimed,
        files=folder.files,
        bytes=folder.bytes,
    )
