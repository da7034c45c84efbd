"""A shard that is given up after its attempts, on a Ray of the run's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flow.make import content_of, explain, rows
from tests.flow.meddle import Meddler, assert_whole

pytestmark = [pytest.mark.slow, pytest.mark.ray]


def test_a_shard_that_cannot_be_written_is_given_up_and_tried_again_by_the_next_run(
    many_clips: str, tiny_explainer: str, tmp_path: Path
) -> None:
    # Such a Ray has a single CPU to decode on: a decoder left behind must not keep it.
    content = content_of(tiny_explainer, files_per_shard=12, part_windows=1, listenables=())
    output = tmp_path / "out"
    reporter = Meddler("planned", lambda: None)
    blocked: list[Path] = []

    def block() -> None:  # a folder stands where the record of the shard's second part would go
        blocked.append(output / "_commits" / reporter.work[0].shard.shard_id / "000001.json")
        blocked[0].mkdir(parents=True)

    reporter.action = block
    result = explain(many_clips, output, content, reporter)
    (given_up,) = result.manifest.quarantined
    assert (given_up.uri, given_up.attempts) == (reporter.work[0].shard.shard_id, 3)
    assert "IsADirectoryError" in given_up.reason
    assert not result.manifest.complete
    assert not (output / "_SUCCESS").exists()
    assert len([row for row in rows(output, "predictions") if row["key"] >= "s012"]) == 12

    blocked[0].rmdir()
    assert explain(many_clips, output, content).manifest.complete
    assert_whole(output, 24)
