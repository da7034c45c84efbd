"""One part of a run, read back: each of its files by itself, then its tables against each other."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.runs.output import RunOutput
from pipeline.runs.verify.agreement import check_labels, check_listenables, check_predictions, check_scores
from pipeline.runs.verify.files import Heard, fetch, hear, open_table
from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.mask_bytes import Shape, check_masks
from pipeline.runs.verify.promise import Promise
from pipeline.runs.verify.recordings import NO_RECORDINGS, recordings_of
from pipeline.runs.verify.values import check_values
from schemas.records import CommitRecord, FileRecord, TableName
from schemas.tables import TABLES

ALL: tuple[TableName, ...] = ("predictions", "masks", "faithfulness", "listenables", "errors")


@dataclass
class PartProof:
    """What was found in a part, and what it holds; `recordings` as `pipeline.runs.verify.recordings` has them.

    `whole` is False where a table could not be read, so that nothing can be said of its recordings. `widths` are the lengths
    of embeddings.
    """

    findings: Findings = field(default_factory=Findings)
    recordings: np.ndarray = field(default_factory=lambda: NO_RECORDINGS)
    shapes: set[Shape] = field(default_factory=set)
    widths: set[int] = field(default_factory=set)
    files: int = 0
    bytes: int = 0
    masks: int = 0
    listenables: int = 0
    whole: bool = True


def prove_part(
    output: RunOutput, path: str, commit: CommitRecord, there: Collection[str], promise: Promise
) -> PartProof:
    """Read all files that the commit at `path` names, and check them; `there` are the paths of files in the output."""
    proof = PartProof()
    findings = proof.findings
    tables: dict[TableName, pa.Table] = {}
    heard: dict[str, Heard] = {}
    for file in commit.files:
        proof.files += 1
        proof.bytes += file.bytes
        data = fetch(output, file, there, findings)
        if data is None:
            continue
        if file.table is None:
            sound = hear(data, file, findings)
            if sound is not None:
                heard[file.path] = sound
        elif file.table in tables:
            findings.add("doubled_file", path, f"a second file of {file.table}", file.path)
        else:
            table = read_rows(data, file, file.table, promise, proof)
            if table is not None:
                tables[file.table] = table
    sounds = {file.path for file in commit.files if file.table is None}
    named = {file.table: file.path for file in commit.files if file.table is not None}
    proof.whole = all(name in tables for name in named)
    if not proof.whole:
        return proof
    for name in ALL:
        tables.setdefault(name, TABLES[name].empty_table())
    paths = {name: named.get(name, path) for name in ALL}
    proof.masks, proof.listenables = len(tables["masks"]), len(sounds)
    proof.widths = set(tables["predictions"]["embedding"].combine_chunks().value_lengths().to_pylist())
    proof.recordings = recordings_of(tables, paths, findings)
    _check_counts(tables, path, commit, findings)
    check_predictions(tables["predictions"], promise, paths["predictions"], findings)
    check_labels(tables, promise, paths, findings)
    check_scores(tables, promise, paths["faithfulness"], findings)
    check_listenables(tables, promise, paths["listenables"], sounds, heard, findings)
    return proof


def read_rows(data: bytes, file: FileRecord, name: TableName, promise: Promise, proof: PartProof) -> pa.Table | None:
    """The rows of a table's file, checked, without the masks' bytes; None where they cannot be read."""
    parquet = open_table(data, file, name, proof.findings)
    if parquet is None:
        return None
    try:
        table = parquet.read(columns=[column for column in TABLES[name].names if column != "mask"])
        check_values(table, name, file.path, proof.findings)
        if name == "masks":
            proof.shapes = check_masks(parquet, promise, file.path, proof.findings)
    except (pa.ArrowException, OSError) as error:
        proof.findings.add("unreadable_table", file.path, str(error))
        return None
    return table


def _check_counts(tables: dict[TableName, pa.Table], path: str, commit: CommitRecord, findings: Findings) -> None:
    recordings = len(set(tables["predictions"]["clip_id"].to_pylist())) + len(tables["errors"])
    found = {
        "windows": len(tables["predictions"]),
        "errors": len(tables["errors"]),
        # A recording is counted where it ends; the last one goes on where the next part begins inside a recording.
        "recordings": recordings - (commit.next.window > 0),
    }
    for name, count in found.items():
        if count != getattr(commit, name):
            findings.add("wrong_count", path, f"{getattr(commit, name)} {name} by the commit, {count} by its rows")
