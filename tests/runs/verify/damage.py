"""A copy of a run, to be damaged: with the records still in agreement, so that only the rows tell, or without."""

from __future__ import annotations

import hashlib
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
from pipeline.runs.manifest import ManifestBuilder
from pipeline.runs.output import RunOutput
from schemas.records import CommitRecord, FileRecord, TableName
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
        return list(self.output.commits())[part]

    def commit_file(self, part: int = 1) -> Path:
        commit = self.commit(part)
        return self.folder / self.output.commit_path(commit.shard_id, commit.part)

    def file(self, table: TableName, part: int = 1) -> FileRecord:
        """The part's file of a table."""
        return next(file for file in self.commit(part).files if file.table == table)

    def change(self, table: TableName, change: Callable[[Rows], object], part: int = 1) -> str:
        """Change rows in place, and all that is recorded of their file; its new path."""
        old = pq.read_table(self.folder / self.file(table, part).path)
        rows = old.to_pylist()
        change(rows)
        new = pa.Table.from_pylist(rows, schema=TABLES[table]).replace_schema_metadata(old.schema.metadata)
        return self.rewrite(table, new, part)

    def rewrite(self, table: TableName, content: pa.Table, part: int = 1) -> str:
        old, commit = self.file(table, part), self.commit(part)
        (self.folder / old.path).unlink()
        new = self.output.write_table(table, f"{commit.shard_id}-{commit.part:06d}", content)
        self.record(old, new, part)
        return new.path

    def change_metadata(self, table: TableName, key: bytes, value: bytes, part: int = 1) -> str:
        """Change the metadata of a table's schema, and all that is recorded of its file; its new path."""
        content = pq.read_table(self.folder / self.file(table, part).path)
        return self.rewrite(table, content.replace_schema_metadata({**content.schema.metadata, key: value}), part)

    def change_audio(self, change: Callable[[bytes], bytes], part: int = 1) -> str:
        """Change the FLAC in the part's first row of listenables, and the digest in that row."""

        def both(rows: Rows) -> None:
            rows[0]["audio"]["bytes"] = change(rows[0]["audio"]["bytes"])
            rows[0]["sha256"] = hashlib.sha256(rows[0]["audio"]["bytes"]).hexdigest()

        return self.change("listenables", both, part)

    def record(self, old: FileRecord, new: FileRecord, part: int = 1) -> None:
        """Name a file instead of another, in its commit and in the manifest."""
        self.state(part, files=[new if file == old else file for file in self.commit(part).files])

    def state(self, part: int = 1, **values: Any) -> None:
        """Change what the commit of a part says, and with it the manifest."""
        alone = self.files_alone()
        self.output.commit(self.commit(part).model_copy(update=values))
        self.replace_alone(*alone)

    def replace_alone(self, *files: FileRecord) -> None:
        """Write the manifest anew, with these files beside those that commits name."""
        builder = ManifestBuilder(self.output)
        for commit in self.output.commits():
            builder.add(commit)
        builder.add_files(files)
        builder.write([])

    def files_alone(self) -> list[FileRecord]:
        """The files that the manifest names and no commit does."""
        named = {file.path for commit in self.output.commits() for file in commit.files}
        return [file for file in self.output.files() if file.path not in named]

    def change_manifest(self, **values: Any) -> None:
        """Change what the manifest says."""
        self.output.write_manifest(self.output.read_manifest().model_copy(update=values))

    def unfinish(self) -> None:
        """Back to where no part was the last one to be written: no manifest, no _SUCCESS."""
        (self.folder / "_SUCCESS").unlink()
        (self.folder / "_manifest.json").unlink()
        (self.folder / "_manifest.parquet").unlink()

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
