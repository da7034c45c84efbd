"""How an input and its tables are read: the options of every command that reads audio, declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

InputOptions = dict[str, Any]
# The default of a command's parameter `reading`, which the options replace.
FROM_OPTIONS: InputOptions = {}
_OPTIONS: dict[str, Any] = {
    "labels": Annotated[
        str | None,
        typer.Option(help="Table (CSV, TSV, JSONL, Parquet) of ground truth: path, label, more; segments too."),
    ],
    "label_column": Annotated[
        str | None, typer.Option(help="Column or metadata field of the label; by default label, category, class...")
    ],
    "label_separator": Annotated[str | None, typer.Option(help="Separator of several labels in one value, as ';'.")],
    "key_column": Annotated[
        str | None, typer.Option(help="Column of --labels that names the recordings. [default: found]")
    ],
    "uri_column": Annotated[
        str | None, typer.Option(help="Column of a manifest that names the recordings. [default: uri, path, file...]")
    ],
    "audio_column": Annotated[
        str | None, typer.Option(help="Column of Parquet files that holds the audio. [default: found]")
    ],
    "segments": Annotated[
        bool | None,
        typer.Option(
            "--segments/--no-segments", help="Whether rows with times are segments of recordings. [default: segments]"
        ),
    ],
    "delimiter": Annotated[
        str | None, typer.Option(help="Delimiter of text tables: a character, tab, comma... [default: found]")
    ],
    "quote": Annotated[
        str | None, typer.Option(help="Quotation mark of text tables: a character, or none if marks are letters.")
    ],
}


def reads_input(*left_out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace a command's parameter `reading` by these options; it receives their values by name.

    `left_out` names options that the command lacks, or declares in other words.
    """
    options = {name: option for name, option in _OPTIONS.items() if name not in left_out}

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        kind, parameters = inspect.Parameter.KEYWORD_ONLY, list[inspect.Parameter]()
        for name, parameter in signature.parameters.items():
            if name == "reading":
                parameters += [inspect.Parameter(one, kind, default=None, annotation=options[one]) for one in options]
            else:
                parameters.append(parameter.replace(kind=kind))

        @wraps(command)
        def run(**given: Any) -> None:
            reading = {name: given.pop(name) for name in options}
            command(**given, reading=reading)

        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorated
