"""Open a finished run: its tables, SQL queries, and single masks and listenables."""

from __future__ import annotations

import os
from html import escape
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs
from numpy.typing import NDArray

from pipeline.runs.listenable import Listenable
from pipeline.runs.output import RunOutput
from pipeline.runs.summary import RunSummary, summarise
from pipeline.storage.filesystem import display_url, is_local, join, open_filesystem
from pipeline.storage.retrying_file import RetryingFile
from schemas.errors import LmacError
from schemas.records import Manifest, RunRecord, TableName
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
    """A run has no such window or target, or did not draw it."""


class Run:
    """A run of `lmac explain` that has ended; made by `open_run`."""

    def __init__(self, output: RunOutput) -> None:
        self.output = output
        self.url = output.url
        self.record: RunRecord = output.begun()
        self.manifest: Manifest = output.read_manifest()

    @property
    def classes(self) -> list[str]:
        """The explainer's classes, in the order of the column `probabilities`."""
        return list(self.record.explainer["labels"])

    @property
    def band_edges_hz(self) -> list[float]:
        """The edges of the mel bands of `masks.band_profile`, ascending: one more than there are bands."""
        return list(self.record.explainer["band_edges_hz"])

    def table(self, name: TableName) -> ds.Dataset:
        """Return a table as a pyarrow dataset of the files that the manifest names; nothing is read yet.

        >>> from lmac import open_run
        >>> open_run("explained").table("faithfulness").to_table(columns=["target", "ff"]).column_names
        ['target', 'ff']
        """
        if name not in TABLES:
            raise NotInRunError(f"a run has no table {name!r}: choose from {', '.join(TABLES)}")
        fs, root = open_filesystem(self.url)
        paths = [join(root, file.path) for file in self.output.files(name)]
        # A disk is read without Python: calls back into it from Arrow's threads may deadlock, above all under DuckDB.
        filesystem = pa.fs.LocalFileSystem() if is_local(fs) else pa.fs.PyFileSystem(_Retrying(fs))
        return ds.FileSystemDataset.from_paths(
            paths, schema=TABLES[name], format=ds.ParquetFileFormat(), filesystem=filesystem
        )

    def sql(self, query: str, parameters: object = None) -> duckdb.DuckDBPyRelation:
        """Query the tables by their names; the view `explanations` joins predictions, faithfulness and profiles.

        >>> from lmac import open_run
        >>> best = open_run("explained").sql("SELECT target, avg(ff) AS ff FROM explanations GROUP BY 1")
        >>> best.columns
        ['target', 'ff']
        """
        return self.connect().sql(query, params=parameters)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a DuckDB connection of your own to the tables, for more than one query."""
        connection = duckdb.connect()
        # It would be drawn on stdout, which programs may read.
        connection.execute("SET enable_progress_bar = false")
        for name in TABLES:
            connection.register(name, self.table(name))  # type: ignore[arg-type]
        connection.execute(EXPLANATIONS)
        return connection

    def mask(self, window_id: str, target: str | None = None) -> NDArray[np.float32]:
        """Return the mask `[n_freq, n_frames]` in [0, 1] of a window, for the target or the only one that it has.

        Raises NotInRunError when there is no such row, or its mask was not drawn.
        """
        row = self.mask_row(window_id, target)
        if row["mask"] is None:
            raise NotInRunError(f"the mask of {window_id} was not stored: the run drew --masks {self._asked('masks')}")
        levels = np.frombuffer(row["mask"], np.uint8).reshape(row["n_freq"], row["n_frames"])
        return (levels / np.float32(255)).astype(np.float32)

    def mask_row(self, window_id: str, target: str | None = None) -> dict[str, Any]:
        """Return a window's row of `masks`, for the target or the only one that it has: bytes, grid and profiles."""
        return self._row("masks", window_id, target)

    def listenable(self, window_id: str, target: str | None = None, kind: str = "masked_in") -> Listenable:
        """Return the listenable of a window, for the target or the only one that it has.

        Raises NotInRunError when there is none: its side was not written, or its window not drawn.
        """
        row = self._row("listenables", window_id, target, pc.field("kind") == kind)
        return Listenable(row.pop("audio")["bytes"], row)

    def summary(self) -> RunSummary:
        """Return each target's number of windows, and how far its explanations can be trusted, from the manifest."""
        return summarise(self.manifest)

    def _asked(self, setting: str) -> str:
        return str(self.record.config[setting])

    def _row(
        self, table: TableName, window_id: str, target: str | None, more: pc.Expression | None = None
    ) -> dict[str, Any]:
        chosen = pc.field("window_id") == window_id
        if target is not None:
            chosen &= pc.field("target") == target
        rows = self.table(table).to_table(filter=chosen if more is None else chosen & more).to_pylist()
        if not rows:
            drawn = f"the run drew --listen {self._asked('listen')}" if table == "listenables" else ""
            of = f" for {target!r}" if target is not None else ""
            raise NotInRunError(f"{table} of {display_url(self.url)} has no {window_id}{of}: {drawn or 'check the id'}")
        if len(rows) > 1:
            names = ", ".join(sorted(row["target"] for row in rows))
            raise NotInRunError(f"{window_id} has several targets: give one of {names}")
        return dict(rows[0])

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


class _Retrying(pa.fs.FSSpecHandler):
    """Opens files for reading, with retries."""

    def open_input_file(self, path: str) -> pa.PythonFile:
        return pa.PythonFile(RetryingFile(self.fs, path, f"reading {display_url(path)}"), mode="r")
