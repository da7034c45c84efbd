"""A run that may be damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import TinyRun
from tests.runs.verify.damage import Damaged


@pytest.fixture
def damaged(tiny_run: TinyRun, tmp_path: Path) -> Damaged:
    return Damaged.copy(tiny_run.output, tmp_path / "run")
