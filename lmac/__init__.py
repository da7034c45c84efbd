"""Explain which part of a sound made an audio classifier decide: `lmac` for notebooks and programs.

What calls raise is in `lmac.errors`, the models of their settings are in `lmac.settings`.

>>> import lmac
>>> lmac.Explainer.load("esc10").config.labels[:2]
('baby_cry', 'chainsaw')
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.audit.audit import Audit, audit
    from pipeline.audit.findings import Effect, Finding
    from pipeline.audit.report.browse import Browsing, browse
    from pipeline.audit.report.write import Report, report
    from pipeline.evaluation.evaluate import EvaluationResult, evaluate
    from pipeline.flow.run import RunResult, explain_dataset
    from pipeline.flow.train import train_on_workers
    from pipeline.lmac.explainer import Explainer
    from pipeline.lmac.explanation import Explanation
    from pipeline.runs.extract import Extracted, Extraction, extract
    from pipeline.runs.listenable import Listenable
    from pipeline.runs.run import Run, open_run
    from pipeline.runs.summary import RunSummary
    from pipeline.runs.verify.verify import Verification, verify
    from pipeline.training.classifier import train_classifier
    from pipeline.training.decoder import train_decoder
    from pipeline.training.head import train_head
    from pipeline.training.workspace import TrainingResult
    from schemas.errors import LmacError

__all__ = [
    "Audit",
    "Browsing",
    "Effect",
    "EvaluationResult",
    "Explainer",
    "Explanation",
    "Extracted",
    "Extraction",
    "Finding",
    "Listenable",
    "LmacError",
    "Report",
    "Run",
    "RunResult",
    "RunSummary",
    "TrainingResult",
    "Verification",
    "audit",
    "browse",
    "evaluate",
    "explain_dataset",
    "extract",
    "open_run",
    "report",
    "train_classifier",
    "train_decoder",
    "train_head",
    "train_on_workers",
    "verify",
]

_HOMES = {
    "Audit": "pipeline.audit.audit",
    "Browsing": "pipeline.audit.report.browse",
    "Effect": "pipeline.audit.findings",
    "EvaluationResult": "pipeline.evaluation.evaluate",
    "Explainer": "pipeline.lmac.explainer",
    "Explanation": "pipeline.lmac.explanation",
    "Extracted": "pipeline.runs.extract",
    "Extraction": "pipeline.runs.extract",
    "Finding": "pipeline.audit.findings",
    "Listenable": "pipeline.runs.listenable",
    "LmacError": "schemas.errors",
    "Report": "pipeline.audit.report.write",
    "Run": "pipeline.runs.run",
    "RunResult": "pipeline.flow.run",
    "RunSummary": "pipeline.runs.summary",
    "TrainingResult": "pipeline.training.workspace",
    "Verification": "pipeline.runs.verify.verify",
    "audit": "pipeline.audit.audit",
    "browse": "pipeline.audit.report.browse",
    "evaluate": "pipeline.evaluation.evaluate",
    "explain_dataset": "pipeline.flow.run",
    "extract": "pipeline.runs.extract",
    "open_run": "pipeline.runs.run",
    "report": "pipeline.audit.report.write",
    "train_classifier": "pipeline.training.classifier",
    "train_decoder": "pipeline.training.decoder",
    "train_head": "pipeline.training.head",
    "train_on_workers": "pipeline.flow.train",
    "verify": "pipeline.runs.verify.verify",
}


_MODULES = ("errors", "settings")


def __getattr__(name: str) -> Any:
    # Imported on first use: torch takes seconds to import, and not everything needs it.
    if name in _MODULES:
        return import_module(f"lmac.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
