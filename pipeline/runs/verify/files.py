"""Check one file of a run: that it exists, its bytes and digest; for a table its columns, rows and schema metadata."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from pipeline.runs.output import RunOutput
from pipeline.runs.verify.findings import Findings
from pipeline.runs.verify.settings import Settings
from pipeline.storage.errors import StorageError
from schemas.records import FileRecord, TableName
from schemas.tables import SCHEMA_VERSION, TABLES

_EDGES = b"band_edges_hz"


class Memory:
    """Limits the bytes of files that all threads hold together; a file larger than the limit is held alone."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held, self._changed = limit, 0, Condition()

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Wait until there is room for `size` bytes, and take it for the block."""
        size = max(0, min(size, self._limit))
        with self._changed:
            self._changed.wait_for(lambda: self._held + size <= self._limit)
            self._held += size
        try:
            yield
        finally:
            with self._changed:
                self._held -= size
                self._changed.notify_all()


def stays_away(error: StorageError) -> bool:
    """Whether the storage is at fault, and not a file that is damaged, gone, or has an impossible name."""
    return error.__cause__ is not None and not isinstance(error.__cause__, (ValidationError, FileNotFoundError))


def fetch(output: RunOutput, file: FileRecord, findings: Findings) -> bytes | None:
    """Return the bytes of a file; None, with a finding, if they differ from its record or it is not there."""
    try:
        data = output.read_bytes(file.path)
    except StorageError as error:
        if stays_away(error):
            raise
        findings.add("missing_file", file.path, "it is recorded and not there")
        return None
    if len(data) != file.bytes:
        findings.add("wrong_bytes", file.path, f"it has {len(data)} bytes, its record says {file.bytes}")
        return None
    if hashlib.sha256(data).hexdigest() != file.sha256:
        findings.add("wrong_digest", file.path, "its SHA-256 is not the one recorded: its contents were changed")
        return None
    return data


def open_table(
    data: bytes, file: FileRecord, name: TableName, settings: Settings, findings: Findings
) -> pq.ParquetFile | None:
    """Open a table's file, whose columns are those of the schema; None, with a finding, if they differ."""
    try:
        parquet = pq.ParquetFile(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        findings.add("unreadable_table", file.path, str(error))
        return None
    schema, expected = parquet.schema_arrow, TABLES[name]
    metadata = schema.metadata or {}
    version = metadata.get(b"schema_version", b"none").decode()
    if version != str(SCHEMA_VERSION):
        findings.add("wrong_schema", file.path, f"schema version {version}, this lmac knows {SCHEMA_VERSION}")
        return None
    if not schema.equals(expected):
        strange = [f"{field.name} {field.type}" for field in schema if field not in list(expected)]
        lacking = [f"{field.name} {field.type}" for field in expected if field not in list(schema)]
        message = f"not of the schema: {', '.join(strange) or 'none'}; lacking: {', '.join(lacking) or 'none'}"
        findings.add("wrong_schema", file.path, message)
        return None
    for key in sorted(key for key, value in expected.metadata.items() if metadata.get(key) != value):
        findings.add("wrong_metadata", file.path, f"the schema's {key.decode()} is not that of the table {name}")
    rows = parquet.metadata.num_rows
    # A table without rows is written at the end, when no explainer is loaded to give its bands.
    if name == "masks" and rows and _edges(metadata) != list(settings.band_edges_hz):
        findings.add("wrong_metadata", file.path, "the schema's band_edges_hz are not those of _run.json")
    if rows != file.rows:
        findings.add("wrong_count", file.path, f"{rows} rows, its record says {file.rows}")
    return parquet


def _edges(metadata: dict[bytes, bytes]) -> object:
    try:
        return json.loads(metadata.get(_EDGES, b"null"))
    except ValueError:
        return None
