"""The report as one page of HTML that needs nothing else."""

from __future__ import annotations

import base64
from importlib import resources

from jinja2 import Environment, StrictUndefined

from pipeline.evaluation.report.document import Document


def render(document: Document) -> str:
    """The whole report; plots are data URIs, everything else is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode("ascii")
    source = (
        resources.files("pipeline.evaluation.report").joinpath("templates").joinpath("report.html").read_text("utf-8")
    )
    return environment.from_string(source).render(document=document)
