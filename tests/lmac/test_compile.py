"""Compiled networks explain as the others do."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from pipeline.lmac.batches import Wanted, explain_batches
from pipeline.lmac.explainer import Explainer
from schemas.targets import Targets
from tests.conftest import TinyRun
from tests.flow.make import sound

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("g++") is None, reason="torch.compile on a CPU needs a compiler: apt-get install g++"
    ),
]


def test_compiled_masks_are_those_that_are_not(tiny_run: TinyRun) -> None:
    plain, compiled = Explainer.load(tiny_run.explainer), Explainer.load(tiny_run.explainer)
    compiled.passes.compile()
    assert (plain.passes.compiled, compiled.passes.compiled) == (False, True)
    n = plain.config.front_end.window_samples
    waveforms = np.stack([sound(1.0, seed=seed)[:n] for seed in range(2)]).astype(np.float32)
    every = np.ones(2, np.bool_)
    wanted = Wanted(Targets.parse("top1"), "soft", 0, ("masked_in",), every, every, every)
    one, other = (explain_batches(each, waveforms, np.full(2, n), wanted, 2) for each in (plain, compiled))
    np.testing.assert_array_equal(one.target_index, other.target_index)
    assert np.abs(one.mask.astype(int) - other.mask.astype(int)).max() <= 1
    for name, values in one.scores.items():
        np.testing.assert_allclose(values, other.scores[name], atol=2e-2, err_msg=name)
