"""What people read: one console, and errors as one message with an exit code instead of a traceback."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.models.clap.zero_shot import PREFIX
from pipeline.storage.filesystem import is_url, recorded_url
from schemas.errors import LmacError

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

# STRICT: `explain --strict` met recordings not used in full; FOUND: an audit found more than its `--fail-on` allows.
FAILED, STRICT, FOUND, INTERRUPTED = 1, 3, 4, 130


def counting_bar() -> Progress:
    """Return a progress bar that shows how many of how many are done; without a terminal it shows nothing."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def fail(message: str, code: int = FAILED) -> typer.Exit:
    """Print an error to stderr and return the exit, which the caller raises."""
    errors.print(f"[bold red]error:[/] {escape(message)}")
    return typer.Exit(code)


def interrupted(message: str) -> typer.Exit:
    """Print to stderr what an interrupted command leaves behind and return the exit, which the caller raises."""
    errors.print(escape(message))
    return typer.Exit(INTERRUPTED)


def shown_command(arguments: Sequence[str]) -> str:
    """Return the command line `lmac ...` as a record may hold it: without credentials and this machine's folders.

    Both may also follow `--option=` or `NAME=`.
    """

    def shown(argument: str) -> str:
        if argument.startswith(PREFIX):
            rest = argument.removeprefix(PREFIX)
            return PREFIX + (recorded_url(rest) if is_url(rest) or rest.startswith(("/", "~")) else rest)
        before, sign, after = argument.partition("=")
        whole = not sign or is_url(argument) or argument.startswith("/")
        return recorded_url(argument) if whole else before + sign + shown(after)

    return shlex.join(["lmac", *(shown(argument) for argument in arguments)])


@contextmanager
def for_people(if_interrupted: str = "interrupted") -> Iterator[None]:
    """Turn errors that people can fix, and Ctrl-C, into a message and an exit code."""
    try:
        yield
    except LmacError as error:
        raise fail(str(error)) from None
    except KeyboardInterrupt:
        raise interrupted(if_interrupted) from None


def counted(count: int, what: str) -> str:
    """Return a number with its noun, singular or plural.

    >>> counted(1, "window"), counted(2, "window")
    ('1 window', '2 windows')
    """
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def has_screen() -> bool:
    """Whether a person sits at a screen where a page can be opened."""
    return console.is_terminal and (sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY")))


def clock(seconds: float) -> str:
    """Return a duration as a clock shows it: 1:05, 2:00:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
