"""Questions in SQL about a run's tables, each in a file that says what it returns and how to run it by itself."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def question(name: str) -> str:
    """The SQL of the file `name.sql`, which names the run's tables as `lmac.Run.sql` does."""
    return (resources.files(__name__) / f"{name}.sql").read_text(encoding="utf-8")
