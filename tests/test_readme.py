from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from pipeline.models.checkpoint import load_config, shipped
from tests.conftest import TinyRun

ROOT = Path(__file__).parents[1]
README, OUTPUT = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/output.md"))


@pytest.mark.slow
def test_every_query_of_the_docs_runs_on_a_run(tiny_run: TinyRun) -> None:
    blocks = re.findall(r"```sql\n(.*?)```", OUTPUT, flags=re.DOTALL)
    queries = [query for block in blocks for query in block.split(";") if query.strip()]
    assert len(queries) >= 3
    for query in queries:
        duckdb.sql(query.replace("demo-output/explained", tiny_run.output)).fetchall()


def test_the_readme_points_at_files_that_are_there() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_shipped_explainer_is_whole_small_and_documented() -> None:
    assert shipped() == ["clap-mini", "esc10", "scenes"]
    for name in shipped():
        config, _ = load_config(name)
        folder = ROOT / "pipeline" / "explainers" / name
        assert config.decoder is not None
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert max(path.stat().st_size for path in files) < 12e6
        assert sum(path.stat().st_size for path in files) < 25e6
        assert "lmac train decoder" in (folder / "README.md").read_text(encoding="utf-8")
