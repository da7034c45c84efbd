"""The JSON records of a run: what was asked for, what each part wrote, and the whole."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

RECORD_VERSION = 1

TableName = Literal["predictions", "masks", "faithfulness", "listenables", "errors"]


class Record(BaseModel):
    """Base of all records: unknown fields are refused, so that a newer run is not half understood."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FileRecord(Record):
    """One file of a run: its path relative to the output, its size, its SHA-256, and the table it belongs to.

    `rows` is the number of table rows in it; None for audio.
    """

    path: str
    bytes: int
    sha256: str
    table: TableName | None = None
    rows: int | None = None


class Cursor(Record):
    """A place in a shard to go on from: the recording's ordinal in reading order, and the window in that recording."""

    recording: int = 0
    window: int = 0


class CommitRecord(Record):
    """What one part wrote; it is written last, so a part without it does not exist.

    `next` is where the next part of the shard begins, `share` how much of the shard's bytes lie before that
    place, and `last` is True on the shard's final part.
    """

    record_version: int = RECORD_VERSION
    shard_id: str
    part: int
    windows: int
    recordings: int
    errors: int
    files: list[FileRecord]
    next: Cursor
    share: float
    last: bool
    actor: str = ""
    seconds: float = 0.0


class RunRecord(Record):
    """What a run was asked to do; a second run on the same output must agree with it.

    `config` holds everything that decides the contents of the tables, `input_digest` names the listing.
    """

    record_version: int = RECORD_VERSION
    lmac_version: str
    input_digest: str
    shards: int
    config: dict[str, Any]
    explainer: dict[str, Any]
    packages: dict[str, str]


class LeaseRecord(Record):
    """Which process writes an output; the file's age says whether it still does.

    `holder` is drawn anew by each run. `machine` names the machine since its start, with the namespace of its process
    ids, and `started` the process beside others that had its id: a dead one is known by them on its own machine.
    """

    record_version: int = RECORD_VERSION
    holder: str
    host: str
    machine: str
    pid: int
    started: str
    begun: datetime


class QuarantinedShard(Record):
    """A shard that was given up after its attempts were spent, in so many seconds, and why."""

    shard_id: str
    uri: str
    attempts: int
    seconds: float = 0.0
    reason: str


class Manifest(Record):
    """The whole run: every file that belongs to it, by table, and the totals."""

    record_version: int = RECORD_VERSION
    complete: bool
    recordings: int
    windows: int
    errors: int
    parts: int
    tables: dict[TableName, list[FileRecord]]
    audio: list[FileRecord]
    quarantined: list[QuarantinedShard] = []

    def files(self) -> list[FileRecord]:
        """Every file of the run, those of tables first."""
        return [*(file for files in self.tables.values() for file in files), *self.audio]
