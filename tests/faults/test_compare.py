"""What differs between a run and a calm one is found and counted."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from schemas.records import TableName
from tests.conftest import TinyRun
from tests.faults.compare import Difference, compare
from tests.flow.make import BAD
from tests.flow.meddle import PER_WINDOW

pytestmark = pytest.mark.slow

Row = dict[str, Any]


@pytest.fixture
def output(tiny_run: TinyRun, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_run.output, tmp_path / "output")


def held(output: Path, run: TinyRun, errors: dict[str, str] | None = None, without: tuple[str, ...] = ()) -> Difference:
    return compare(output, Path(run.output), run.source, BAD if errors is None else errors, without)


def change(output: Path, table: TableName, edit: Callable[[list[Row]], list[Row]]) -> None:
    """Rewrite the first file of a table."""
    path = min((output / table).glob("*.parquet"))
    before = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(edit(before.to_pylist()), before.schema), path)


def counted(difference: Difference) -> tuple[int, int, int]:
    return difference.lost, difference.doubled, difference.wrong


def lifted(by: int) -> Callable[[list[Row]], list[Row]]:
    """Change one level of the first mask."""

    def edit(rows: list[Row]) -> list[Row]:
        mask = bytearray(rows[0]["mask"])
        mask[7] += by if mask[7] < 128 else -by
        return [{**rows[0], "mask": bytes(mask)}, *rows[1:]]

    return edit


def test_a_run_is_like_itself(output: Path, tiny_run: TinyRun) -> None:
    assert not held(output, tiny_run)


def test_a_window_that_a_table_lacks_is_lost(output: Path, tiny_run: TinyRun) -> None:
    change(output, "masks", lambda rows: rows[1:])
    assert counted(held(output, tiny_run)) == (1, 0, 0)


def test_a_window_that_a_table_has_twice_is_doubled(output: Path, tiny_run: TinyRun) -> None:
    change(output, "predictions", lambda rows: [rows[0], rows[0], *rows])
    assert counted(held(output, tiny_run)) == (0, 2, 0)


def test_another_label_another_mask_and_a_strange_window_are_wrong(output: Path, tiny_run: TinyRun) -> None:
    change(output, "predictions", lambda rows: [{**rows[0], "label": "another"}, *rows[1:]])
    change(output, "masks", lifted(2))
    change(output, "faithfulness", lambda rows: [*rows, {**rows[0], "window_id": "strange"}])
    assert counted(held(output, tiny_run)) == (0, 0, 3)


def test_masks_may_be_one_level_apart(output: Path, tiny_run: TinyRun) -> None:
    change(output, "masks", lifted(1))
    difference = held(output, tiny_run)
    assert counted(difference) == (0, 0, 0)
    assert any(word.startswith("verify: ") for word in difference.words)  # it is another file than was committed


def test_a_clip_that_only_the_calm_run_could_use_is_not_lost_but_must_be_told_of(
    output: Path, tiny_run: TinyRun
) -> None:
    (recording,) = {
        row["clip_id"] for row in pq.read_table(output / "predictions").to_pylist() if row["key"] == "dog/one.wav"
    }
    for table in PER_WINDOW:
        for path in (output / table).glob("*.parquet"):
            before = pq.read_table(path)
            pq.write_table(before.filter(pc.not_equal(before["clip_id"], recording)), path)
    assert counted(held(output, tiny_run)) == (3, 0, 0)
    errors = {**BAD, "dog/one.wav": "crashed"}
    difference = held(output, tiny_run, errors, ("dog/one.wav",))
    assert counted(difference) == (0, 0, 0)
    assert "errors have dog/one.wav as crashed 0 times" in difference.words


def test_an_error_that_was_not_expected_is_told_of(output: Path, tiny_run: TinyRun) -> None:
    errors = {key: reason for key, reason in BAD.items() if key != "bad/cut.wav"}
    assert held(output, tiny_run, errors).words == ["errors have bad/cut.wav as truncated 1 times"]
