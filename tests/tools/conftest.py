from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import TinyRun


@pytest.fixture
def beside(tiny_run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a finished run that lies in `explained` of the working directory."""
    (tmp_path / "explained").symlink_to(tiny_run.output)
    monkeypatch.chdir(tmp_path)
    return tiny_run.output
