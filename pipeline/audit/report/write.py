"""`lmac report`: a run and its findings as static files that open from disk and ask nothing of the network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.audit.report.audit_read import findings_of, notes_of, register_audit
from pipeline.audit.report.class_pages import class_pages
from pipeline.audit.report.data_files import script_of
from pipeline.audit.report.folder import PAGE, ReportFolder
from pipeline.audit.report.media import Media
from pipeline.audit.report.neighbours import nearest
from pipeline.audit.report.overview import six_numbers
from pipeline.audit.report.page import assets, render
from pipeline.audit.report.sample import choose
from pipeline.audit.report.windows import Windows, members_by_finding
from pipeline.runs.run import Run, open_run
from pipeline.storage.filesystem import display_url, join
from schemas.report_config import ReportConfig

PER_FILE = 100
# Of a finding, and of a run without findings.
EXAMPLES, TO_HEAR = 3, 6
FOLDER = "report"

Step = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """A report that was written: where its first page is, what it shows, and how large it is.

    `findings` are counted as an audit does, without candidates and what is typical; None without an audit.
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
    the sum of both sides where the run has both, else it is read from `input_url` where that is given. `step` is told
    what is being done. Raises StorageError where the run has not ended or `out` holds something else, InputError where
    the input cannot give a window again.

    >>> from lmac import open_run, report
    >>> made = report(open_run("explained").url, "heard")
    >>> made.page, made.shown, made.heard
    ('heard/index.html', 10, 10)
    """
    config = config or ReportConfig()
    opened = open_run(run)
    url = join(opened.url, FOLDER) if out is None else os.fspath(out)
    step("reading tables")
    connection = opened.connect()
    audited = register_audit(connection, opened.url)
    findings = findings_of(connection)
    sample = choose(connection, config.windows)
    windows = Windows(opened, connection, sample.window_ids)
    folder = ReportFolder(url)
    step("reading sound")
    media = Media(opened, windows, config, None if input_url is None else os.fspath(input_url))
    folder.write(media.files())
    step("finding neighbours")
    near = nearest(windows.embeddings, [row["clip_id"] for row in windows.rows])
    step("summing up classes")
    classes = class_pages(opened, connection, findings, _by_class(windows, media))
    step("writing pages")
    folder.write(_data(windows, near, media, classes, [one["finding"] for one in findings]))
    members = members_by_finding(windows.members)
    page = render(
        {
            "name": display_url(opened.url).rstrip("/").rpartition("/")[2] or "run",
            "explainer": opened.record.explainer["name"],
            "identity": _identity(opened),
            "audited": audited,
            "notes": notes_of(opened.url),
            "findings": [_with_examples(one, members.get(one["finding"], []), windows, media) for one in findings],
            "to_hear": [i for i in media.places if media.level(i)][:TO_HEAR],
            "classes": classes,
            "windows": windows,
            "media": media,
            "rule": sample.rule(len(media.places), media.heard),
            "numbers": six_numbers(opened, connection),
            "ticks": media.axes.ticks() if media.axes else [],
            "per_file": PER_FILE,
        }
    )
    folder.write([*assets(), (PAGE, page)])
    return Report(
        page=join(url, PAGE),
        windows=sample.windows,
        shown=len(windows.rows),
        pictured=len(media.places),
        heard=media.heard,
        findings=len([one for one in findings if not one["candidate"] and one["kind"] != "typical"])
        if audited
        else None,
        files=folder.files,
        bytes=folder.bytes,
    )


def _with_examples(finding: dict[str, Any], members: Sequence[int], windows: Windows, media: Media) -> dict[str, Any]:
    """A finding with its windows shown, and three examples of different recordings: the clearest that can be heard."""
    heard_first = sorted(members, key=lambda i: -media.level(i))
    by_recording = {windows.rows[i]["clip_id"]: i for i in reversed(heard_first)}
    chosen = [i for i in heard_first if by_recording[windows.rows[i]["clip_id"]] == i][:EXAMPLES]
    # A window may be in a finding twice, as the least certain and as a wrong one.
    notes = [
        [one["suggestion"] for one in windows.members[i] if one["finding"] == finding["finding"] and one["suggestion"]]
        for i in chosen
    ]
    return {**finding, "members": members, "examples": list(zip(chosen, map("; ".join, notes), strict=True))}


def _by_class(windows: Windows, media: Media) -> dict[str, list[int]]:
    """The windows of each class, called it or labelled so: first those that have sound."""
    found: dict[str, list[int]] = {}
    for i in sorted(range(len(windows.rows)), key=lambda i: (-media.level(i), i)):
        row = windows.rows[i]
        for name in {row["label"], *row["label_true"]}:
            found.setdefault(name, []).append(i)
    return found


def _data(
    windows: Windows,
    near: Sequence[Sequence[tuple[int, float]]],
    media: Media,
    classes: Sequence[dict[str, Any]],
    findings: Sequence[str],
) -> Iterator[tuple[str, bytes]]:
    """The data files: the list of windows, the classes, and a hundred windows each of what their pages tell."""
    levels = [media.level(i) for i in range(len(windows.rows))]
    yield "data/clips.js", script_of("clips", windows.columns(findings, levels))
    edges = list(media.axes.edges_hz) if media.axes else []
    yield "data/classes.js", script_of("classes", {"classes": classes, "edges_hz": edges})
    for start in range(0, len(windows.rows), PER_FILE):
        rows = range(start, min(start + PER_FILE, len(windows.rows)))
        details = [{**windows.details(i, findings), "near": near[i], "media": media.of(i)} for i in rows]
        name = f"{start // PER_FILE:03d}"
        yield f"data/{name}.js", script_of(name, details)


def _identity(run: Run) -> str:
    """What marks belong to: the same input under the same explainer."""
    return hashlib.sha256(f"{run.record.input_digest} {run.record.explainer['digest']}".encode()).hexdigest()[:16]
