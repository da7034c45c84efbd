"""What an explainer's card says of the recordings that it was trained on."""

from __future__ import annotations

import re
from typing import Any

from pipeline.audit.audited import AuditedRun
from pipeline.models.checkpoint import has_explainer, load_card, load_config, shipped
from pipeline.runs.output import RunOutput
from pipeline.storage.filesystem import join
from schemas.audit_config import AuditConfig

_TRAINED = re.compile(r"^Trained on .*$", re.MULTILINE)


def trained_on(about: AuditedRun, config: AuditConfig) -> dict[str, Any]:
    """Evidence on whether the classifier was trained on the recordings, as far as a person or its card says so.

    A card names the training recordings in words only, so it never clears a classifier: only `config.trained_on` does.
    """
    told: dict[str, Any] = {"trained on": config.trained_on}
    lines = _TRAINED.findall(_card(about, config))
    if lines and config.trained_on != "yes":
        what = {
            "no": "--trained-on no means that it was trained on others",
            "unknown": "If on others than these, pass --trained-on no: its own probabilities then judge the labels",
        }[config.trained_on]
        about.note("label_error", f"the explainer's card says: {lines[0]} {what}")
    return {**told, "card": lines} if lines else told


def _card(about: AuditedRun, config: AuditConfig) -> str:
    record = about.run.record.explainer
    saved = join(about.run.url, RunOutput(about.run.url).explainer_folder(record["digest"]))
    named = record["name"] if record["name"] in shipped() else None
    for place in (config.explainer, saved, named):
        if place is not None and has_explainer(place) and list(load_config(place)[0].labels) == record["labels"]:
            return load_card(place)
    return ""
