"""The `lmac` command."""

from __future__ import annotations

import typer

from jobs.audit import audit
from jobs.browse import browse
from jobs.check import check_app
from jobs.clean import clean
from jobs.data import data_app
from jobs.demo import demo
from jobs.evaluate import evaluate
from jobs.explain import explain
from jobs.extract import extract
from jobs.layers import layers
from jobs.report import report
from jobs.schema import schema
from jobs.status import status
from jobs.train import train_app
from jobs.verify import verify

app = typer.Typer(
    no_args_is_help=True,
    # Not "rich", which parses [default: ...] as a style of that name, and drops it.
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Audit large audio datasets by ear: which part of the sound made a classifier decide, as masks and audio.",
)
app.command()(explain)
app.command()(audit)
app.command()(evaluate)
app.command()(demo)
app.command()(schema)
app.command()(layers)
app.command()(verify)
app.command()(status)
app.command()(extract)
app.command()(report)
app.command()(browse)
app.command()(clean)
app.add_typer(train_app, name="train")
app.add_typer(data_app, name="data")
app.add_typer(check_app, name="check")


def main() -> None:
    """Entry point of the console script."""
    app()
