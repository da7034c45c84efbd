from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.attribution.logits import Logits, LogMelLogits
from tests.attribution.fakes import SMALL, magnitude
from tests.lmac.fakes import LinearClassifier

LINEAR = LinearClassifier(torch.ones(2, 3))


def test_from_the_log_mel_on_the_logits_are_those_of_the_magnitude() -> None:
    x = magnitude()
    assert torch.equal(LogMelLogits(SMALL)(SMALL.front_end.log_mel(x)), Logits(SMALL)(x))


def test_the_last_block_puts_out_the_deepest_representation() -> None:
    seen = []
    handle = SMALL.last_block.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    deepest = SMALL(magnitude()).representations[-1]
    handle.remove()
    assert torch.equal(seen[0], deepest)


def test_each_relu_is_a_module_used_once() -> None:
    used: list[nn.Module] = []
    relus = [module for module in SMALL.modules() if isinstance(module, nn.ReLU)]
    handles = [relu.register_forward_hook(lambda module, _inputs, _output: used.append(module)) for relu in relus]
    SMALL(magnitude())
    for handle in handles:
        handle.remove()
    assert sorted(map(id, used)) == sorted(map(id, relus))


def test_a_classifier_without_a_last_block_or_a_log_mel_says_so() -> None:
    with pytest.raises(NotImplementedError, match="LinearClassifier has no last convolutional block"):
        _ = LINEAR.last_block
    with pytest.raises(NotImplementedError, match="LinearClassifier does not take a log-mel"):
        LogMelLogits(LINEAR)(torch.ones(1, 4, 5))
