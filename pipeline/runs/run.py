"""Open a finished run: its tables, SQL queries, and single masks and listenables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
from numpy.typing import NDArray

from pipeline.runs.listenable import Listenable
from pipeline.runs.output import RunOutput
from pipeline.runs.summary import RunSummary, summarise
from pipeline.runs.window_rows import WindowRows
from pipeline.storage.filesystem import display_url, is_local, join, open_filesystem
from pipeline.storage.retrying_file import RetryingFile
from schemas.errors import LmacError
from schemas.records import FileRecord, Manifest, RunRecord, TableName
from schemas.run_config import SIDES
from schemas.tables import TABLES

# The view for conditions: a row for each explanation, with what is known about its window.
EXPLANATIONS = """
    CREATE VIEW explanations AS
    SELECT * FROM predictions
    JOIN faithfulness USING (clip_id, window_id)
    JOIN (SELECT * EXCLUDE (mask, mask_mean, energy_kept) FROM masks) USING (clip_id, window_id, target)
"""
_SHOWN = 3


class NotInRunError(LmacError):
    """A run has no such table, kind of listenable, window or target, or did not draw it."""


class Run:
    """A run of `lmac explain` that has ended; made by `open_run`."""

    def __init__(self, output: RunOutput) -> None:
        self.output = output
        self.url = output.url
        self.record: RunRecord = output.begun()
        self.manifest: Manifest = output.read_manifest()
        # Read once: a run that has ended does not change.
        self._files: dict[TableName, list[FileRecord]] = {}
        self._rows: dict[TableName, WindowRows] = {}

    @property
    def classes(self) -> list[str]:
        """The explainer's classes, in the order of the column `probabilities`."""
        return list(self.record.explainer["labels"])

    @property
    def band_edges_hz(self) -> list[float]:
        """The edges of the mel bands of `masks.band_profile`, ascending: one more than there are bands."""
        return list(self.record.explainer["band_edges_hz"])

    def files(self, name: TableName) -> list[FileRecord]:
        """Return the files of a table, sorted by path.

        Raises NotInRunError when there is no such table, StorageError when the list cannot be read.
        """
        if name not in TABLES:
            raise NotInRunError(f"a run has no table {name!r}: choose from {', '.join(TABLES)}")
        if name not in self._files:
            self._files[name] = self.output.files(name)
        return self._files[name]

    def table(self, name: TableName) -> ds.Dataset:
        """Return a table as a pyarrow dataset of the files that the manifest names; none of them is read yet.

        Raises NotInRunError when there is no such table, StorageError when the list of its files cannot be read. To
        read it raises StorageError when a file is missing or out of reach, and OSError on this machine's disk.

        >>> from lmac import open_run
        >>> open_run("explained").table("faithfulness").to_table(columns=["target", "ff"]).column_names
        ['target', 'ff']
        """
        files = self.files(name)
        fs, root = open_filesystem(self.url)
        paths = [join(root, file.path) for file in files]
        # A disk is read without Python: calls back into it from Arrow's threads may deadlock, above all under DuckDB.
        filesystem = pa.fs.LocalFileSystem() if is_local(fs) else pa.fs.PyFileSystem(_Retrying(fs))
        return ds.FileSystemDataset.from_paths(
            paths, schema=TABLES[name], format=ds.ParquetFileFormat(), filesystem=filesystem
        )

    def sql(self, query: str, parameters: object = None) -> duckdb.DuckDBPyRelation:
        """Query the tables by their names; the view `explanations` joins predictions, faithfulness and profiles.

        Raises duckdb.Error when the query is wrong: at once if it cannot be parsed or names no table or column, else
        when its rows are read, as for a value that cannot be cast or a file that is missing or out of reach. Raises
        StorageError when the list of files cannot be read.

        >>> from lmac import open_run
        >>> best = open_run("explained").sql("SELECT target, avg(ff) AS ff FROM explanations GROUP BY 1")
        >>> best.columns
        ['target', 'ff']
        """
        # A connection of its own: one that is kept would refuse a query while the rows of another are streamed.
        return self.connect().sql(query, params=parameters)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a DuckDB connection of your own to the tables, for more than one query.

        Raises StorageError when the lists of files cannot be read.
        """
        connection = duckdb.connect()
        # It would be drawn on stdout, which programs may read.
        connection.execute("SET enable_progress_bar = false")
        for name in TABLES:
            connection.register(name, self.table(name))  # type: ignore[arg-type]
        connection.execute(EXPLANATIONS)
        return connection

    def mask(self, window_id: str, target: str | None = None) -> NDArray[np.float32]:
        """Return the mask `[n_freq, n_frames]` in [0, 1] of a window, for the target or the only one that it has.

        Raises NotInRunError when there is no such window or target, or its mask was not drawn; StorageError when it
        cannot be read.
        """
        row = self.mask_row(window_id, target)
        if row["mask"] is None:
            drawn = self.record.config["masks"]
            raise NotInRunError(f"the mask of {window_id} was not stored: the run drew --masks {drawn}")
        levels = np.frombuffer(row["mask"], np.uint8).reshape(row["n_freq"], row["n_frames"])
        return (levels / np.float32(255)).astype(np.float32)

    def mask_row(self, window_id: str, target: str | None = None) -> dict[str, Any]:
        """Return a window's row of `masks`, for the target or the only one that it has: bytes, grid and profiles.

        Raises NotInRunError when there is no such window or target; StorageError when it cannot be read.
        """
        rows = self._rows_of("masks", window_id)
        if not rows:
            raise NotInRunError(f"{display_url(self.url)} has no window {window_id!r}: check the id")
        return _of_target(rows, window_id, target)

    def listenable(self, window_id: str, target: str | None = None, kind: str = "masked_in") -> Listenable:
        """Return the listenable of a window, for the target or the only one that it has.

        Raises NotInRunError when the run does not write this kind, there is no such window or target, or it was not
        drawn.
        """
        if kind not in SIDES:
            raise NotInRunError(
                f"a run has no listenables of the kind {kind!r}: choose from {', '.join(SIDES)}; for originals, use "
                "lmac.extract"
            )
        if kind not in (written := self.record.config["listenables"]):
            raise NotInRunError(
                f"{display_url(self.url)} has no listenables of the kind {kind}: it was made with --listenables "
                f"{' and '.join(written) or 'none'}"
            )
        rows = [row for row in self._rows_of("listenables", window_id) if row["kind"] == kind]
        if not any(target in (None, row["target"]) for row in rows):
            # `masks` has a row for each window and target, drawn or not: a wrong one is refused here.
            own = self.mask_row(window_id, target)["target"]
            drawn = self.record.config["listen"]
            raise NotInRunError(f"the {kind} of {window_id} for {own!r} was not written: the run drew --listen {drawn}")
        row = _of_target(rows, window_id, target)
        return Listenable(row.pop("audio")["bytes"], row)

    def summary(self) -> RunSummary:
        """Return each target's number of windows, and how far its explanations can be trusted, from the manifest."""
        return summarise(self.manifest)

    def _rows_of(self, table: TableName, window_id: str) -> list[dict[str, Any]]:
        if table not in self._rows:
            self._rows[table] = WindowRows(self.url, self.files(table))
        return list(self._rows[table].rows([window_id], TABLES[table].names))

    def __repr__(self) -> str:
        return f"Run({display_url(self.url)!r}, {self.manifest.recordings} recordings, {self.manifest.windows} windows)"

    def _repr_html_(self) -> str:
        players = []
        for batch in self.table("listenables").to_batches(batch_size=_SHOWN):
            players += [Listenable(row.pop("audio")["bytes"], row)._repr_html_() for row in batch.to_pylist()]
            if len(players) >= _SHOWN:
                break
        return f"<p>{escape(repr(self))}</p>{self.summary()._repr_html_()}{''.join(players[:_SHOWN])}"


def open_run(url: str | os.PathLike[str]) -> Run:
    """Open a finished run at a path or URL.

    Raises StorageError when there is none, it has not ended, or the storage cannot be reached.

    >>> from lmac import open_run
    >>> print(str(open_run("explained").summary()).splitlines()[0])
    target  windows     p  AD %    FF  Fid-In  mask mean  energy kept
    """
    return Run(RunOutput(os.fspath(url)))


def _of_target(rows: Sequence[dict[str, Any]], window_id: str, target: str | None) -> dict[str, Any]:
    """Return the only row, or the one for the target."""
    found = [row for row in rows if target in (None, row["target"])]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted(row["target"] for row in rows))
    if target is None:
        raise NotInRunError(f"{window_id} has several targets: give one of {names}")
    raise NotInRunError(f"{window_id} has no target {target!r}: its targets are {names}")


class _Retrying(pa.fs.FSSpecHandler):
    """Opens files for reading, with retries."""

    def open_input_file(self, path: str) -> pa.PythonFile:
        return pa.PythonFile(RetryingFile(self.fs, path, f"reading {display_url(path)}"), mode="r")
