"""Runs that something is done to while they go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.flow.plan import Work
from pipeline.inputs.listing import Listing
from schemas.records import CommitRecord, TableName
from tests.flow.make import Recorder, rows

PER_WINDOW: tuple[TableName, ...] = ("predictions", "masks", "faithfulness")


class Meddler(Recorder):
    """Does something once: when the run is planned, or with the first commit."""

    def __init__(self, when: str, action: Callable[[], object]) -> None:
        super().__init__()
        self.when, self.action = when, action

    def planned(self, listing: Listing, work: list[Work]) -> None:
        super().planned(listing, work)
        if self.when == "planned":
            self.action()

    def on_commit(self, record: CommitRecord) -> None:
        if self.when == "commit" and len(self.commits) == 1:
            self.action()


def assert_whole(output: Path, recordings: int) -> None:
    """Every recording in one window, each once in every table, and the run declared finished."""
    assert (output / "_SUCCESS").is_file()
    for table in PER_WINDOW:
        ids = [row["window_id"] for row in rows(output, table)]
        assert len(ids) == len(set(ids)) == recordings
