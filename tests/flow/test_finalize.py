"""The end of a run: what is not whole, or more than whole, is not declared finished."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.flow.finalize import UnreconciledError, finalize
from pipeline.flow.plan import InconsistentCommitsError
from pipeline.runs.output import RunOutput
from schemas.records import QuarantinedShard
from tests.flow.test_plan import A, B, commit


def test_a_shard_that_goes_on_after_its_end_is_refused(tmp_path: Path) -> None:
    output = RunOutput(str(tmp_path))
    for record in (commit(0), commit(1, last=True), commit(2)):
        output.commit(record)
    with pytest.raises(InconsistentCommitsError, match="ends with part 1, yet part 2 is committed"):
        finalize(output, [A], [])
    assert not output.has_manifest()


def test_a_shard_without_its_end_is_refused_unless_it_was_given_up(tmp_path: Path) -> None:
    output = RunOutput(str(tmp_path))
    for record in (commit(0, last=True), commit(0, shard=B)):
        output.commit(record)
    with pytest.raises(UnreconciledError, match="1 of 2 shards are incomplete, 'b' for one"):
        finalize(output, [A, B], [])
    manifest = finalize(output, [A, B], [QuarantinedShard(shard_id="b", uri="b.tar", attempts=3, reason="x")])
    assert (manifest.complete, manifest.parts, output.succeeded()) == (False, 2, False)
