"""The JSON records of a run: what was asked for, what each part wrote, and the whole."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

RECORD_VERSION = 2

TableName = Literal["predictions", "masks", "faithfulness", "listenables", "errors"]


class Record(BaseModel):
    """Base of all records: unknown fields are refused, so that a newer run is not half understood."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class VersionedRecord(Record):
    """Base of the records that are files of their own."""

    record_version: int = RECORD_VERSION


class FileRecord(Record):
    """One file of a run: its path relative to the output, its size, its SHA-256, and the rows of a table in it."""

    path: str
    bytes: int
    sha256: str
    table: TableName | None = None
    rows: int | None = None


class Cursor(Record):
    """A place in a shard to go on from: the recording's ordinal in reading order, and the window in that recording.

    `clip` tells the channels and segments of a file apart; `damaged` says that damage was met before
    this place, so that the recording has to be decoded from its beginning to get the same samples.
    """

    recording: int = 0
    window: int = 0
    clip: int = 0
    damaged: bool = False


class TargetSums(Record):
    """Sums over the explanations of one target: their number, and the total of each score in a summary."""

    windows: int = 0
    p: float = 0.0
    ad: float = 0.0
    ff: float = 0.0
    fid_in: float = 0.0
    mask_mean: float = 0.0
    energy_kept: float = 0.0


class Sums(Record):
    """The sums that a summary of a part or a run needs, so that it opens no table.

    `targets` are sums by target, `reasons` errors by reason; `labelled` counts the windows with a label that is a class
    of the explainer, and `hits` those of them that are classified as one of their labels. `left_out` counts, by kind,
    what the input holds besides recordings, and the recordings that a sample does not draw.
    """

    targets: dict[str, TargetSums] = {}
    reasons: dict[str, int] = {}
    labelled: int = 0
    hits: int = 0
    left_out: dict[str, int] = {}


class CommitRecord(VersionedRecord):
    """What one part wrote; it is written last, so a part without it does not exist.

    `recordings` counts those that begin in the part, `errors` the rows of errors, and `partly` the rows of errors whose
    recordings are heard in part.
    `next` is where the next part of the shard begins, `share` how much of the shard's bytes lie before that
    place, and `last` is True on the shard's final part. If listenables are drawn per target, `drawn` names the windows
    of the part that may get one; their listenables wait in `candidates`. `batch_size` windows were explained at once,
    on a `device`: `cpu` or `cuda`, with networks that were `compiled` or not.
    """

    shard_id: str
    part: int
    windows: int
    recordings: int
    errors: int
    partly: int = 0
    files: list[FileRecord]
    sums: Sums = Sums()
    candidates: FileRecord | None = None
    drawn: dict[str, list[str]] = {}
    next: Cursor
    share: float
    last: bool
    batch_size: int = 0
    device: str = ""
    compiled: bool = False
    actor: str = ""
    seconds: float = 0.0


class RunRecord(VersionedRecord):
    """What a run was asked to do; a second run on the same output must agree with it.

    `config` holds everything that decides the contents of the tables, `input_digest` names the listing.
    """

    lmac_version: str
    input_digest: str
    shards: int
    config: dict[str, Any]
    explainer: dict[str, Any]
    packages: dict[str, str]


class LeaseRecord(VersionedRecord):
    """Which process writes an output; the file's age says whether it still does.

    `holder` is drawn anew by each run. `machine` identifies the machine since its boot, with its namespace of process
    ids, and `started` tells the process from others that had its id: with both, its own machine knows if it is dead.
    """

    holder: str
    host: str
    machine: str
    pid: int
    started: str
    begun: datetime


class QuarantinedShard(Record):
    """A shard given up after all its `attempts`, the `seconds` that they took, and the reason."""

    shard_id: str
    uri: str
    attempts: int
    seconds: float = 0.0
    reason: str


class TableTotals(Record):
    """A table of a run in numbers: its files, their rows and their bytes."""

    files: int
    rows: int
    bytes: int


class Manifest(VersionedRecord):
    """The whole run in numbers; `files` is the Parquet file that names every file of it."""

    complete: bool
    recordings: int
    windows: int
    errors: int
    partly: int = 0
    parts: int
    tables: dict[TableName, TableTotals]
    sums: Sums
    files: FileRecord
    quarantined: list[QuarantinedShard] = []
