"""All files of a report except sound and pictures, by path, each made on demand."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from typing import Any

from pipeline.audit.report.audit_read import findings_of, notes_of, register_audit
from pipeline.audit.report.class_pages import class_pages, with_profiles
from pipeline.audit.report.data_files import script_of
from pipeline.audit.report.media import Media
from pipeline.audit.report.neighbours import Neighbours
from pipeline.audit.report.overview import six_numbers
from pipeline.audit.report.page import PAGE, assets, render
from pipeline.audit.report.sample import choose
from pipeline.audit.report.tables_in_memory import connect
from pipeline.audit.report.windows import Windows, members_by_finding
from pipeline.runs.original import Originals
from pipeline.runs.run import Run
from pipeline.storage.filesystem import display_url
from pipeline.storage.retry import BUDGET_S

PER_FILE = 100
_CLASSES = "data/classes.js"
_ASKING = (_CLASSES, PAGE)
# Examples of a finding, and windows to hear of a run without findings.
EXAMPLES, TO_HEAR = 3, 6


class Pages:
    """The page, script, style and data files of a run with its findings, which show up to `count` of its windows.

    `media` holds their sound and pictures; what it keeps must be settled before the first page is read. When these are
    read, an outage of the run's storage is waited out for up to `budget_s` seconds.
    """

    def __init__(self, run: Run, count: int, originals: Originals | None, budget_s: float = BUDGET_S) -> None:
        self._run, self._connection = run, connect(run)
        self._lock = threading.Lock()
        self.audited = register_audit(self._connection, run.url)
        self.findings = findings_of(self._connection)
        self.sample = choose(self._connection, count)
        self.windows = Windows(run, self._connection, self.sample.window_ids)
        self.media = Media(run, self.windows, originals, budget_s)
        self._ids = [one["finding"] for one in self.findings]
        self._makers: dict[str, Callable[[], bytes]] = {
            "data/clips.js": self._clips,
            _CLASSES: self._of_classes,
        }
        for start in range(0, len(self.windows.rows), PER_FILE):
            rows = range(start, min(start + PER_FILE, len(self.windows.rows)))
            self._makers[f"data/{start // PER_FILE:03d}.js"] = partial(self._details, f"{start // PER_FILE:03d}", rows)
        for path, data in assets():
            self._makers[path] = partial(bytes, data)
        # The page comes last: a report without it is none.
        self._makers[PAGE] = self._page

    @property
    def claimed(self) -> int | None:
        """The number of findings as an audit counts them, without candidates and typical recordings."""
        if not self.audited:
            return None
        return len([one for one in self.findings if not one["candidate"] and one["kind"] != "typical"])

    def paths(self) -> list[str]:
        """The path of each file, relative to the report."""
        return list(self._makers)

    def read(self, path: str) -> bytes:
        """Make the file at one of `paths`; several threads may call it."""
        # A connection answers one query at a time.
        with self._lock if path in _ASKING else nullcontext():
            return self._makers[path]()

    @cached_property
    def _classes(self) -> list[dict[str, Any]]:
        return class_pages(self._run, self._connection, self.findings, self._by_class())

    @cached_property
    def _near(self) -> Neighbours:
        return Neighbours(self.windows.embeddings, [row["clip_id"] for row in self.windows.rows])

    def _clips(self) -> bytes:
        """The list of windows."""
        levels = [self.media.level(i) for i in range(len(self.windows.rows))]
        return script_of("clips", self.windows.columns(self._ids, levels))

    def _of_classes(self) -> bytes:
        edges = list(self.media.axes.edges_hz) if self.media.axes else []
        classes = with_profiles(self._classes, self._connection)
        return script_of("classes", {"classes": classes, "edges_hz": edges})

    def _details(self, name: str, rows: range) -> bytes:
        """What the pages of a hundred windows show."""
        details = [
            {**self.windows.details(i, self._ids), "near": near, "media": self.media.of(i)}
            for i, near in zip(rows, self._near.nearest(rows), strict=True)
        ]
        return script_of(name, details)

    def _page(self) -> bytes:
        run, windows, media = self._run, self.windows, self.media
        members = members_by_finding(windows.members)
        return render(
            {
                "name": display_url(run.url).rstrip("/").rpartition("/")[2] or "run",
                "explainer": run.record.explainer["name"],
                "identity": _identity(run),
                "audited": self.audited,
                "notes": notes_of(run.url),
                "findings": [self._with_examples(one, members.get(one["finding"], [])) for one in self.findings],
                "to_hear": [i for i in range(len(windows.rows)) if media.level(i)][:TO_HEAR],
                "classes": self._classes,
                "windows": windows,
                "media": media,
                "rule": self.sample.rule(media.pictured, media.heard),
                "numbers": six_numbers(run, self._connection),
                "ticks": media.axes.ticks() if media.axes else [],
                "per_file": PER_FILE,
            }
        )

    def _with_examples(self, finding: dict[str, Any], members: Sequence[int]) -> dict[str, Any]:
        """Add to a finding its windows shown and three examples of different recordings: the clearest with sound."""
        windows = self.windows
        heard_first = sorted(members, key=lambda i: -self.media.level(i))
        by_recording = {windows.rows[i]["clip_id"]: i for i in reversed(heard_first)}
        chosen = [i for i in heard_first if by_recording[windows.rows[i]["clip_id"]] == i][:EXAMPLES]
        # A window may be in a finding twice, as the least certain and as a wrong one.
        notes = [
            [
                one["suggestion"]
                for one in windows.members[i]
                if one["finding"] == finding["finding"] and one["suggestion"]
            ]
            for i in chosen
        ]
        return {**finding, "members": members, "examples": list(zip(chosen, map("; ".join, notes), strict=True))}

    def _by_class(self) -> dict[str, list[int]]:
        """The windows decided or labelled as each class, those with sound first."""
        found: dict[str, list[int]] = {}
        for i in sorted(range(len(self.windows.rows)), key=lambda i: (-self.media.level(i), i)):
            row = self.windows.rows[i]
            for name in {row["label"], *row["label_true"]}:
                found.setdefault(name, []).append(i)
        return found


def _identity(run: Run) -> str:
    """An identity that marks belong to: the same for the same input and explainer."""
    return hashlib.sha256(f"{run.record.input_digest} {run.record.explainer['digest']}".encode()).hexdigest()[:16]
