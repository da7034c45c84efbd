"""Running `lmac explain` as a user does, and holding the tables of two runs against each other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.inputs.suffixes import without_audio_suffix
from pipeline.runs.run import open_run
from schemas.tables import TABLES


def explain_command(input_url: str, output_url: str, options: Sequence[str]) -> list[str]:
    """The command line of a run, with the `lmac` of this environment."""
    return [str(Path(sys.executable).with_name("lmac")), "explain", input_url, output_url, *options]


def explain(input_url: str, output_url: str, options: Sequence[str]) -> None:
    """Run `lmac explain` to its end; its output goes to this process's.

    Raises CalledProcessError when it fails.
    """
    command = explain_command(input_url, output_url, options)
    print("$ lmac", " ".join(command[1:]), flush=True)
    subprocess.run(command, check=True)


def counts(output_url: str) -> dict[str, tuple[int, int]]:
    """For each table of a run: its rows, and how many windows (recordings, of errors) they are about."""
    result = {}
    for name in TABLES:
        table = open_run(output_url).table(name).to_table()  # type: ignore[arg-type]
        column = "clip_id" if name == "errors" else "window_id"
        result[name] = (table.num_rows, len(set(table.column(column).to_pylist())))
    return result


def by_recording(output_url: str) -> dict[tuple[str, int], tuple[str, str, np.ndarray]]:
    """For each window, named by the recording's key without suffix and its number: clip_id, decision, and its mask."""
    run = open_run(output_url)
    columns = ["window_id", "clip_id", "key", "window_index", "label"]
    predictions = run.table("predictions").to_table(columns=columns)
    masks = run.table("masks").to_table(columns=["window_id", "target", "mask"])
    mask_of = {(row["window_id"], row["target"]): row["mask"] for row in masks.to_pylist()}
    return {
        (without_audio_suffix(row["key"]), row["window_index"]): (
            row["clip_id"],
            row["label"],
            np.frombuffer(mask_of[row["window_id"], row["label"]], np.uint8),
        )
        for row in predictions.to_pylist()
    }


def compare(one: str, other: str, same_input: bool) -> None:
    """Print how far the windows of two runs over the same recordings agree."""
    a, b = by_recording(one), by_recording(other)
    shared = a.keys() & b.keys()
    labels = sum(a[key][1] != b[key][1] for key in shared)
    worst = max(int(np.abs(a[key][2].astype(int) - b[key][2].astype(int)).max()) for key in shared)
    line = f"windows {len(a)} and {len(b)}, in both {len(shared)}; labels that differ {labels}; "
    line += f"largest difference of a mask {worst}/255"
    if same_input:
        line += f"; clip_ids that differ {sum(a[key][0] != b[key][0] for key in shared)}"
    print(line, flush=True)


def differing_tables(one: str, other: str) -> dict[str, int]:
    """For each table: how many rows of two runs differ in any column, after sorting."""
    result = {}
    for name, schema in TABLES.items():
        named = [column for column in ("clip_id", "window_id", "target", "kind") if column in schema.names]
        keys = [(column, "ascending") for column in named]
        a, b = (open_run(url).table(name).to_table().sort_by(keys) for url in (one, other))  # type: ignore[arg-type]
        result[name] = _differing_rows(a, b)
    return result


def _differing_rows(a: pa.Table, b: pa.Table) -> int:
    if a.num_rows != b.num_rows:
        return abs(a.num_rows - b.num_rows)
    return sum(x != y for x, y in zip(a.to_pylist(), b.to_pylist(), strict=True))
