"""The tables of a finished run, read as the manifest names them."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.filesystem import open_filesystem
from pipeline.storage.output import RunOutput
from schemas.records import TableName
from schemas.tables import TABLES


def read_table(output_url: str, name: TableName, columns: list[str] | None = None) -> pa.Table:
    """A table of a run, of the columns asked for; masks take memory.

    Raises StorageError when the run has no manifest.
    """
    fs, _ = open_filesystem(output_url)
    parts = []
    for url in RunOutput(output_url).files(name):
        with fs.open(fs._strip_protocol(url)) as file:
            parts.append(pq.read_table(file, columns=columns))
    return pa.concat_tables(parts)


def connect(output_url: str, without: tuple[str, ...] = ("mask", "embedding")) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with a view for each table, `without` the heavy columns."""
    connection = duckdb.connect()
    for name, schema in TABLES.items():
        columns = [column for column in schema.names if column not in without]
        connection.register(name, read_table(output_url, name, columns))  # type: ignore[arg-type]
    return connection
