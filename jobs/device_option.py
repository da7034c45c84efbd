"""The option --device of the commands that compute in this process; `lmac explain` has its own, for actors."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute; auto: a GPU if there is one.")]
