"""A copy of a run, to be damaged: with the records still in agreement, so that only the rows tell, or without."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from pipeline.audio.flac import encode_flac
from pipeline.runs.output import RunOutput
from schemas.records import CommitRecord, FileRecord, Manifest, TableName
from schemas.tables import TABLES

Rows = list[dict[str, Any]]


class Damaged:
    """A run's output of one's own; parts are by their place among the commits, sorted. The first has errors only."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.output = folder, RunOutput(str(folder))

    @classmethod
    def copy(cls, source: str, folder: Path) -> Damaged:
        return cls(Path(shutil.copytree(source, folder)))

    def commit(self, part: int = 1) -> CommitRecord:
        return self.output.commits()[part]

    def commit_file(self, part: int = 1) -> Path:
        commit = self.commit(part)
        return self.folder / self.output.commit_path(commit.shard_id, commit.part)

    def file(self, table: TableName | None, part: int = 1) -> FileRecord:
        """The part's file of a table, or its first listenable."""
        return next(file for file in self.commit(part).files if file.table == table)

    def change(self, table: TableName, change: Callable[[Rows], object], part: int = 1) -> str:
        """Change rows in place, and all that is recorded of their file; its new path."""
        old = self.file(table, part)
        rows = pq.read_table(self.folder / old.path).to_pylist()
        change(rows)
        return self.rewrite(table, pa.Table.from_pylist(rows, schema=TABLES[table]), part)

    def rewrite(self, table: TableName, content: pa.Table, part: int = 1) -> str:
        old, commit = self.file(table, part), self.commit(part)
        (self.folder / old.path).unlink()
        new = self.output.write_table(table, f"{commit.shard_id}-{commit.part:06d}", content)
        self.record(old, new, part)
        return new.path

    def change_audio(self, change: Callable[[bytes], bytes], part: int = 1) -> str:
        """Change the part's first listenable, the record of its file, and the digest in its row."""
        old = self.file(None, part)
        new = self.output.write_bytes(old.path, change((self.folder / old.path).read_bytes()))
        self.record(old, new, part)

        def follow(rows: Rows) -> None:
            for row in rows:
                row["sha256"] = new.sha256 if row["uri"] == new.path else row["sha256"]

        self.change("listenables", follow, part)
        return new.path

    def record(self, old: FileRecord, new: FileRecord, part: int = 1) -> None:
        """Name a file instead of another, in its commit and in the manifest."""
        commit = self.commit(part)
        files = [new if file == old else file for file in commit.files]
        self.output.commit(commit.model_copy(update={"files": files}))
        manifest = self.output.read_manifest()
        tables = {name: [new if file == old else file for file in named] for name, named in manifest.tables.items()}
        audio = [new if file == old else file for file in manifest.audio]
        self.output.write_manifest(manifest.model_copy(update={"tables": tables, "audio": audio}))

    def state(self, part: int = 1, **values: int) -> None:
        """Change what the commit of a part says, and what the manifest has of that, by as much."""
        commit, manifest = self.commit(part), self.output.read_manifest()
        self.output.commit(commit.model_copy(update=values))
        sums = {name: getattr(manifest, name) + value - getattr(commit, name) for name, value in values.items()}
        self.output.write_manifest(manifest.model_copy(update=sums))

    def unfinish(self) -> None:
        """Back to where no part was the last one to be written: no manifest, no _SUCCESS."""
        (self.folder / "_SUCCESS").unlink()
        (self.folder / "_manifest.json").unlink()

    def set_run(self, **config: Any) -> None:
        """Change what the run was asked for."""
        record = json.loads((self.folder / "_run.json").read_text())
        record["config"] |= config
        (self.folder / "_run.json").write_text(json.dumps(record))


def first(column: str, value: Any) -> Callable[[Rows], object]:
    """Another value in the first row of a table."""

    def change(rows: Rows) -> None:
        rows[0][column] = value(rows[0][column]) if callable(value) else value

    return change


def one_of_list(column: str, value: float) -> Callable[[Rows], object]:
    """Another value in a list of the first row."""
    return first(column, lambda values: [*values[:-1], value])


def shorter_flac(data: bytes) -> bytes:
    """A whole FLAC file with the second half of the sound missing."""
    sound, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    return encode_flac(np.ascontiguousarray(sound[: len(sound) // 2]), rate)


def without_complete(manifest: Manifest) -> Manifest:
    return manifest.model_copy(update={"complete": False})
