"""Make the tables of an evaluation from its results, and write them with their record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.attribution.trained import OWN_ORDERS
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.methods import is_own
from pipeline.evaluation.prepare import Evaluation
from pipeline.evaluation.summarise import best_localisation, best_mask, soft_variants, summarise_audio
from schemas.evaluation_tables import TABLES

RECORD = "evaluation.json"


def make_tables(
    evaluation: Evaluation,
    found: dict[tuple[str, str, str], pa.Table],
    sanity: list[pa.Table],
    timing: list[pa.Table],
) -> dict[str, pa.Table]:
    """Make all tables, by name, from results by kind (`scores`, `curves`, `localisation`), audio and method."""
    bootstrap = Bootstrap(evaluation.windows.recording_index, evaluation.config.resamples, evaluation.config.seed)
    parts: dict[str, list[pa.Table]] = {name: [] for name in TABLES}
    parts["sanity"], parts["timing"] = sanity, timing
    for audio in evaluation.audio:
        names = [one.name for one in evaluation.methods]
        scores, curves, places = (
            {name: found[kind, audio.name, name] for name in names if (kind, audio.name, name) in found}
            for kind in ("scores", "curves", "localisation")
        )
        parts["scores"] += scores.values()
        parts["curves"] += curves.values()
        for name, table in summarise_audio(audio.name, scores, curves, bootstrap).items():
            parts[name].append(table)
        for name, table in places.items():
            best = best_mask(soft_variants(scores[name])) if name in scores else None
            parts["localisation"].append(best_localisation(table, best, OWN_ORDERS["bins"] if is_own(name) else None))
    return {
        name: pa.concat_tables([table.select(TABLES[name].names).cast(TABLES[name]) for table in tables])
        if tables
        else TABLES[name].empty_table()
        for name, tables in parts.items()
    }


def write_tables(directory: Path, tables: dict[str, pa.Table], record: dict[str, Any]) -> None:
    """Write every table as `<name>.parquet`, and the record, last, as `evaluation.json`."""
    (directory / RECORD).unlink(missing_ok=True)
    for name, table in tables.items():
        pq.write_table(table, directory / f"{name}.parquet", compression="zstd")
    (directory / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")
