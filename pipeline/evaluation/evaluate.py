"""Evaluate an explainer in one call: tables, their record, and the report."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.comparison import compare
from pipeline.evaluation.contaminate import CLEAN
from pipeline.evaluation.methods import OWN, classifier_digest
from pipeline.evaluation.names import EvaluationError
from pipeline.evaluation.prepare import Evaluation, Progress, prepare
from pipeline.evaluation.report import write_report
from pipeline.evaluation.result_tables import write_tables
from pipeline.evaluation.results_cache import ResultsCache
from pipeline.storage.filesystem import display_url, is_url, recorded_url
from schemas.evaluation_config import EvaluationConfig
from schemas.yaml_config import load_config

CACHE = "cache"
_PACKAGES = ("lmac", "torch", "captum", "numpy")


@dataclass(frozen=True)
class EvaluationResult:
    """The result of an evaluation, as written to the folder `out`.

    `record` is the content of `evaluation.json`; `tables` are those of `schemas.evaluation_tables` by name.
    """

    out: Path
    record: dict[str, Any]
    tables: dict[str, pa.Table]

    @property
    def report(self) -> Path:
        """The path of the HTML report; `report.md` next to it has the same content."""
        return self.out / "report.html"

    @property
    def summary(self) -> list[dict[str, Any]]:
        """Return mean scores by audio, method and counted mask: `{"audio", "method", "mask", "ad", "ff", ...}`."""
        rows: dict[tuple[str, str, str], dict[str, Any]] = {}
        for row in self.tables["summary"].to_pylist():
            if row["best"]:
                place = {name: row[name] for name in ("audio", "method", "mask")}
                rows.setdefault(tuple(place.values()), place)[row["score"]] = row["value"]
        return list(rows.values())


def evaluate(
    input_url: str | os.PathLike[str],
    explainer: str | os.PathLike[str] | None = None,
    *,
    out: str | os.PathLike[str],
    config: str | os.PathLike[str] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    command: str | None = None,
    **settings: Any,
) -> EvaluationResult:
    """Measure how faithful an explainer's masks are on audio, compared with the methods that people use instead.

    `input_url` is anything that can be explained. `out` is a folder on this machine for tables, plots, the report and
    cached results: a call with the same settings resumes, and a call with other methods measures only those.
    `settings` are the fields of `EvaluationConfig`, such as `methods=["saliency", "integrated gradients"]`, `limit=40`
    or `contaminate=["none"]`; they override the YAML file `config`, and None means "not given".
    `device` is `cpu`, `cuda`, or `auto`: a CUDA GPU if there is one, else the CPU.
    `command` is what the record shows as the command line.

    Raises ConfigError for invalid settings, EvaluationError for what cannot be evaluated with them; ExplainerError,
    InputError, StorageError, TrainingDataError as loading does.
    """
    chosen = load_config(
        EvaluationConfig, Path(config) if config is not None else None, {"explainer": explainer, **settings}
    )
    input_url, folder = os.fspath(input_url), _writable(os.fspath(out))
    progress = progress or Progress()
    with tempfile.TemporaryDirectory(prefix="lmac-evaluate-") as scratch:
        evaluation = prepare(input_url, chosen, Path(scratch), device, progress)
        depends_on = {"windows": evaluation.windows.digest(), "versions": _versions()}
        tables = compare(evaluation, ResultsCache(folder / CACHE, depends_on), progress)
    record = _record(input_url, evaluation, tables, command)
    write_tables(folder, tables, record)
    write_report(folder)
    return EvaluationResult(folder, record, tables)


def _writable(out: str) -> Path:
    if is_url(out):
        raise EvaluationError(f"{display_url(out)}: the output of an evaluation must be a folder on this machine")
    folder = Path(out)
    try:
        # The folder itself is created with the first result, so that refused settings leave nothing behind.
        with tempfile.TemporaryFile(dir=next(path for path in (folder, *folder.parents) if path.exists())):
            pass
    except OSError as error:
        raise EvaluationError(f"{out} cannot be written to: {error.strerror}") from None
    return folder


def _versions() -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {**found, "python": platform.python_version()}


def _record(input_url: str, evaluation: Evaluation, tables: dict[str, pa.Table], command: str | None) -> dict[str, Any]:
    explainer, config, clean = evaluation.explainer, evaluation.config, _own_on_clean(tables["scores"])
    shown = config.model_dump(mode="json") | {
        "explainer": recorded_url(config.explainer),
        "against": {name: recorded_url(url) for name, url in config.against.items()},
        "contaminate": [recorded_url(text) for text in config.contaminate],
        "labels": recorded_url(config.labels) if config.labels else None,
    }
    return {
        "explainer": explainer.config.name,
        "explainer_digest": explainer.digest,
        "classifier_digest": classifier_digest(explainer.classifier, explainer.config.labels),
        "input": recorded_url(input_url),
        "input_digest": evaluation.windows.digest(),
        "recordings": len(evaluation.windows.keys),
        "recordings_left_out": evaluation.windows.skipped,
        "windows": len(evaluation.windows),
        "seed": config.seed,
        "accuracy": _accuracy(evaluation, clean),
        "p": float(pc.mean(clean["p"]).as_py()),
        "mask_mean": float(pc.mean(clean["mask_mean"]).as_py()),
        "audio": [one.name for one in evaluation.audio],
        "methods": [one.name for one in evaluation.methods],
        "methods_left_out": dict(evaluation.left_out),
        "device": str(explainer.device),
        "versions": _versions(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "command": command,
        "config": shown,
    }


def _accuracy(evaluation: Evaluation, clean: pa.Table) -> float | None:
    """Return the share of clean windows with a known label that are classified as labelled; None without any."""
    known = evaluation.truth.any(axis=1)
    if not known.any():
        return None
    labels = evaluation.explainer.config.labels
    decided = np.array([labels.index(label) for label in clean["target"].to_pylist()])
    return float(evaluation.truth[np.arange(len(decided)), decided][known].mean())


def _own_on_clean(scores: pa.Table) -> pa.Table:
    # The explainer's own decoder has one mask.
    own = scores.filter(pc.and_(pc.equal(scores["audio"], CLEAN), pc.equal(scores["method"], OWN)))
    return own.sort_by("window")
