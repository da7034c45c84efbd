"""Bad input of every kind costs a run nothing but itself."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.bad_input.corpus import write_corpus
from tests.bad_input.recordings import bad_clips
from tests.bad_input.trial import explain_bad
from tests.flow.make import rows


def test_the_corpus_is_large_and_the_same_for_a_seed(tmp_path: Path) -> None:
    recordings = bad_clips(0)
    assert len(recordings) >= 300
    assert recordings == bad_clips(0) != bad_clips(1)
    assert write_corpus(tmp_path, seed=0).files > len(recordings) + 50
    assert len({name for _, _, names in os.walk(tmp_path / "input" / "names") for name in names}) >= 25


@pytest.mark.slow
@pytest.mark.ray
def test_a_run_accounts_for_all_of_a_sample(tiny_explainer: str, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", seed=0, every=4)
    trial = explain_bad(corpus.folder, tmp_path, tiny_explainer)
    assert trial.sound, (trial.printed, trial.unaccounted, trial.deaths, trial.outside, trial.findings)
    assert trial.loose > 100
    assert 0 < trial.peak_bytes < 1 << 30
    for row in rows(tmp_path / "output", "faithfulness"):
        assert all(np.isfinite(value) for value in row.values() if isinstance(value, float)), row


@pytest.mark.slow
@pytest.mark.ray
def test_a_manifest_of_missing_and_odd_files_is_explained_as_far_as_it_goes(
    tiny_explainer: str, tmp_path: Path
) -> None:
    corpus = write_corpus(tmp_path / "corpus", seed=0, every=1000)
    trial = explain_bad(corpus.manifest, tmp_path, tiny_explainer)
    assert trial.sound, (trial.printed, trial.unaccounted, trial.deaths, trial.outside, trial.findings)
    assert trial.loose == corpus.rows
    assert trial.windows + sum(trial.reasons.values()) == corpus.rows
