"""A small run, and what is made of it, once for all tests of the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.audit.report.make import few

Read = Callable[[Path, str], Any]


@pytest.fixture(scope="session")
def base_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sixteen windows of as many recordings, both sides written."""
    return few(tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="session")
def data() -> Read:
    """Reads a data file as the page does: one call, whose second argument is JSON."""

    def read(folder: Path, name: str) -> Any:
        text = (folder / "data" / f"{name}.js").read_text("ascii")
        start, end = f"lmac({json.dumps(name)},", ");\n"
        assert text.startswith(start)
        assert text.endswith(end)
        return json.loads(text[len(start) : -len(end)])

    return read
