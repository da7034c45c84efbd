"""An evaluation from settings to its folder: tables, report, and a summary for the console."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.markup import escape
from rich.table import Table

from jobs.evaluation_progress import EvaluationProgress
from jobs.messages import console, errors, shown_command
from pipeline.evaluation.contenders import OWN, classifier_digest
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.pieces import Pieces
from pipeline.evaluation.prepare import Evaluation, prepare
from pipeline.evaluation.report import write_report
from pipeline.evaluation.tables import accuracy, mean_probability, write_tables
from pipeline.storage.filesystem import recorded_url
from schemas.evaluation_config import EvaluationConfig

_SHOWN = {
    "mask_mean": "mask",
    "energy_kept": "energy",
    "ad": "AD %",
    "ff": "FF",
    "fid_in": "Fid-In",
    "ad_audio": "AD written",
}
_PACKAGES = ("lmac", "torch", "captum", "numpy")


def evaluate_into(out: Path, input_url: str, settings: EvaluationConfig, device: str) -> None:
    """Evaluate an input and write tables, report and plots into the folder `out`."""
    progress = EvaluationProgress()
    with tempfile.TemporaryDirectory(prefix="lmac-evaluate-") as scratch, progress.bar:
        evaluation = prepare(input_url, settings, Path(scratch), device, _skipped, progress.note)
        kept = {"windows": evaluation.windows.digest(), "versions": _versions()}
        tables = evaluate(evaluation, Pieces(out / "pieces", kept), progress)
    record = _record(input_url, evaluation, tables)
    write_tables(out, tables, record)
    write_report(out)
    _print_summary(out, record, tables)


def _skipped(key: str, reason: str) -> None:
    errors.print(f"left out: {key}: {reason}", markup=False)


def _versions() -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {**found, "python": platform.python_version()}


def _record(input_url: str, evaluation: Evaluation, tables: dict[str, pa.Table]) -> dict[str, Any]:
    explainer, config = evaluation.explainer, evaluation.config
    summary = tables["summary"]
    own = summary.filter(
        pc.and_(pc.equal(summary["method"], OWN), pc.and_(pc.equal(summary["score"], "mask_mean"), summary["best"]))
    )
    return {
        "explainer": explainer.config.name,
        "explainer_digest": explainer.digest,
        "classifier_digest": classifier_digest(explainer.classifier, explainer.config.labels),
        "input": recorded_url(input_url),
        "input_digest": evaluation.windows.digest(),
        "recordings": len(evaluation.windows.keys),
        "clips_left_out": evaluation.windows.skipped,
        "windows": len(evaluation.windows),
        "seed": config.seed,
        "accuracy": accuracy(evaluation, tables["scores"]),
        "p": mean_probability(tables["scores"]),
        "mask_mean": own["value"][0].as_py(),
        "audio": [one.name for one in evaluation.audio],
        "methods": [one.name for one in evaluation.contenders],
        "methods_left_out": dict(evaluation.left_out),
        "device": str(explainer.device),
        "versions": _versions(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "command": shown_command(sys.argv[1:]),
        "config": _shown(config),
    }


def _shown(config: EvaluationConfig) -> dict[str, Any]:
    values = config.model_dump(mode="json")
    values["explainer"] = recorded_url(config.explainer)
    values["against"] = {name: recorded_url(url) for name, url in config.against.items()}
    values["contaminate"] = [recorded_url(text) for text in config.contaminate]
    values["labels"] = recorded_url(config.labels) if config.labels else None
    return values


def _print_summary(out: Path, record: dict[str, Any], tables: dict[str, pa.Table]) -> None:
    means = {
        (row["audio"], row["method"], row["mask"], row["score"]): row["value"]
        for row in tables["summary"].to_pylist()
        if row["best"]
    }
    for audio in record["audio"]:
        shown = Table(title=escape(audio), title_justify="left", box=None, pad_edge=False)
        for name in ("method", "mask by"):
            shown.add_column(name, no_wrap=True)
        for name in _SHOWN.values():
            shown.add_column(name, justify="right")
        for method, mask in dict.fromkeys((key[1], key[2]) for key in means if key[0] == audio):
            cells = [means[audio, method, mask, score] for score in _SHOWN]
            shown.add_row(escape(method), mask, *(f"{cell:.2f}" for cell in cells))
        console.print(shown)
    if record["accuracy"] is not None:
        console.print(f"{record['accuracy']:.1%} of the clean windows with a known label are classified as labelled")
    console.print(
        f"{record['recordings']} recordings in {record['windows']} windows; mean p of the decisions {record['p']:.2f}"
    )
    console.print(f"the report: {out / 'report.html'}", markup=False)
