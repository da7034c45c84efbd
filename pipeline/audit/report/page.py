"""The page itself: templates filled with what a report found, and the script and style beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.audit.report.words import figure, percent, probability

PAGE = "index.html"
# What a page may load: its own files, from disk or from where it is served.
POLICY = (
    "default-src 'self' file:; script-src 'self' file:; style-src 'self' file:; connect-src 'none'; "
    "object-src 'none'; frame-src 'none'; base-uri 'none'; form-action 'none'"
)
_PACKAGE = "pipeline.audit.report"


def render(values: Mapping[str, Any]) -> bytes:
    """Fill the page's templates; every value is escaped, as all of them may come from the input."""
    environment = Environment(
        loader=PackageLoader(_PACKAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "count": lambda n: f"{n:,}",
        "figure": figure,
        "percent": percent,
        "probability": probability,
    }
    return environment.get_template("report.html").render({**values, "policy": POLICY}).encode()


def assets() -> Iterator[tuple[str, bytes]]:
    """Yield the files that every report has, at their paths."""
    for file in sorted(files(_PACKAGE).joinpath("assets").iterdir(), key=lambda one: one.name):
        yield f"assets/{file.name}", file.read_bytes()
