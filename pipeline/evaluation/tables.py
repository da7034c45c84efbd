"""The tables of an evaluation, made of its results, and the record beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.attribution.trained import OWN_ORDERS
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.contaminate import CLEAN
from pipeline.evaluation.contenders import OWN, is_own
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
    """All tables by name, from results by kind (`scores`, `curves`, `localisation`), audio and method."""
    bootstrap = Bootstrap(evaluation.windows.recording_index, evaluation.config.resamples, evaluation.config.seed)
    parts: dict[str, list[pa.Table]] = {name: [] for name in TABLES}
    parts["sanity"], parts["timing"] = sanity, timing
    for audio in evaluation.audio:
        names = [one.name for one in evaluation.contenders]
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


def accuracy(evaluation: Evaluation, scores: pa.Table) -> float | None:
    """Share of clean windows with a known label that are classified as labelled; None without any."""
    known = evaluation.truth >= 0
    if not known.any():
        return None
    labels = evaluation.explainer.config.labels
    decided = np.array([labels.index(label) for label in _clean(scores)["label"].to_pylist()])
    return float((decided == evaluation.truth)[known].mean())


def mean_probability(scores: pa.Table) -> float:
    """Mean probability of the classifier's decision on clean windows."""
    return float(pc.mean(_clean(scores)["p"]).as_py())


def _clean(scores: pa.Table) -> pa.Table:
    own = scores.filter(pc.and_(pc.equal(scores["audio"], CLEAN), pc.equal(scores["method"], OWN)))
    return own.filter(pc.equal(own["mask"], own["mask"][0])).sort_by("window")


def write_tables(directory: Path, tables: dict[str, pa.Table], record: dict[str, Any]) -> None:
    """Write every table as `<name>.parquet`, and the record, last, as `evaluation.json`."""
    (directory / RECORD).unlink(missing_ok=True)
    for name, table in tables.items():
        pq.write_table(table, directory / f"{name}.parquet", compression="zstd")
    (directory / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")
