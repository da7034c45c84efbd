"""The tables of a finished run, read as the manifest names them."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.errors import storage_errors
from pipeline.storage.filesystem import display_url, open_filesystem
from pipeline.runs.output import RunOutput
from pipeline.storage.retrying_file import RetryingFile
from schemas.records import TableName

READ_THREADS, FILES_AT_ONCE = 8, 64


def read_table(output_url: str, name: TableName, columns: list[str] | None = None) -> pa.Table:
    """A table of a run, of the columns asked for; masks take memory.

    Raises StorageError when the run has no manifest, a file of it is missing, or its storage stays away.
    """
    fs, _ = open_filesystem(output_url)
    urls = RunOutput(output_url).files(name)

    def read(first: int) -> pa.Table:
        tables = []
        for url in urls[first : first + FILES_AT_ONCE]:
            what = f"reading {display_url(url)}"
            with storage_errors(what), RetryingFile(fs, fs._strip_protocol(url), what) as file:
                tables.append(pq.read_table(file, columns=columns))
        # A table for each of many small files takes far more memory than what is in it.
        return pa.concat_tables(tables).combine_chunks()

    with ThreadPoolExecutor(READ_THREADS) as pool:
        return pa.concat_tables(pool.map(read, range(0, len(urls), FILES_AT_ONCE)))


def connect(output_url: str, columns: Mapping[TableName, list[str]]) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with a view for each of the tables asked for, of the columns asked for."""
    connection = duckdb.connect()
    for name, wanted in columns.items():
        connection.register(name, read_table(output_url, name, wanted))
    return connection
