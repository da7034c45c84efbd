"""Explaining a part where memory does not suffice for a whole batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.flow.explain import explain_part
from pipeline.lmac.explainer import Explainer
from pipeline.lmac.passes import Classified, Passes
from schemas.targets import Targets
from tests.flow.make import all_parts, content_of, short_clips, write_folder


class Cramped(Passes):
    """A GPU that holds `room` windows at once, and no more; `asked` are the batches it was given."""

    room = 3

    def classify(self, waveforms: Tensor, stops: Tensor | None, targets: Targets) -> Classified:
        self.asked = [*getattr(self, "asked", []), len(waveforms)]
        if len(waveforms) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().classify(waveforms, stops, targets)


def cramped_explainer(directory: str) -> tuple[Explainer, Cramped]:
    """An explainer whose device is cramped."""
    explainer = Explainer.load(directory)
    explainer.passes = cramped = Cramped(explainer.config, explainer.classifier, explainer.decoder, explainer.device)
    return explainer, cramped


def test_batches_are_halved_until_they_fit_and_no_window_is_lost(tiny_explainer: str, tmp_path: Path) -> None:
    content = content_of(tiny_explainer, part_windows=11, files_per_shard=64)
    (part,) = all_parts(write_folder(tmp_path, short_clips(11)), content)
    explainer, cramped = cramped_explainer(tiny_explainer)
    halved = explain_part(explainer, part, "", content, 8)
    # The last batch holds one window, and silence.
    assert cramped.asked == [8, 4, 2, 2, 2, 2, 2, 2]
    assert halved.batch_size == 2
    calm = explain_part(Explainer.load(tiny_explainer), part, "", content, 8)
    np.testing.assert_array_equal(halved.window, np.arange(11))
    np.testing.assert_array_equal(halved.target_index, calm.target_index)
    assert np.abs(halved.mask.astype(int) - calm.mask.astype(int)).max() <= 1


def test_a_window_that_alone_is_too_much_is_said_to_be(tiny_explainer: str, tmp_path: Path) -> None:
    content = content_of(tiny_explainer, part_windows=4, files_per_shard=64)
    (part,) = all_parts(write_folder(tmp_path, short_clips(3)), content)
    explainer, cramped = cramped_explainer(tiny_explainer)
    cramped.room = 0
    with pytest.raises(torch.OutOfMemoryError, match=r"one window alone does not fit .*2\.00 GiB"):
        explain_part(explainer, part, "", content, 16)
    # No larger than a part, as what is not filled by windows is by silence.
    assert cramped.asked == [4, 2, 1]
