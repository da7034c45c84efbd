"""Explaining a part where memory does not suffice for a whole batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.flow.explain import explain_part
from pipeline.lmac.explainer import Explainer, Explanation
from tests.flow.make import all_parts, content_of, short_clips, write_folder


class Cramped(Explainer):
    """An explainer on a GPU that holds so many windows at once, and no more; `asked` are the batches it was given."""

    room = 3

    def explain_windows(self, waveforms: Any, *arguments: Any, **settings: Any) -> Explanation:
        self.asked = [*getattr(self, "asked", []), len(waveforms)]
        if len(waveforms) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().explain_windows(waveforms, *arguments, **settings)


def test_batches_are_halved_until_they_fit_and_no_window_is_lost(tiny_explainer: str, tmp_path: Path) -> None:
    content = content_of(tiny_explainer, part_windows=11, files_per_shard=64)
    (part,) = all_parts(write_folder(tmp_path, short_clips(11)), content)
    cramped = Cramped.load(tiny_explainer)
    halved = explain_part(cramped, part, "", content, 8)
    assert cramped.asked == [8, 4, 2, 2, 2, 2, 2, 1]  # type: ignore[attr-defined]
    calm = explain_part(Explainer.load(tiny_explainer), part, "", content, 8)
    np.testing.assert_array_equal(halved.window, np.arange(11))
    np.testing.assert_array_equal(halved.target_index, calm.target_index)
    assert np.abs(halved.mask.astype(int) - calm.mask.astype(int)).max() <= 1


def test_a_window_that_alone_is_too_much_is_said_to_be(tiny_explainer: str, tmp_path: Path) -> None:
    content = content_of(tiny_explainer, part_windows=4, files_per_shard=64)
    (part,) = all_parts(write_folder(tmp_path, short_clips(3)), content)
    cramped = Cramped.load(tiny_explainer)
    cramped.room = 0
    with pytest.raises(torch.OutOfMemoryError, match=r"one window alone does not fit .*2\.00 GiB"):
        explain_part(cramped, part, "", content, 16)
    assert cramped.asked == [3, 1]  # type: ignore[attr-defined]
