"""Each kind of training on a GPU, as far as can be told without one; and on the CPU what holds for every device."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.models.build import build_decoder
from pipeline.training.classifier import ClassifierTask
from pipeline.training.decoder_task import DecoderTask
from pipeline.training.saved_state import copy_on_cpu, on_cpu
from pipeline.training.zero_shot_task import ZeroShotTask, draw_prompts
from schemas.training_config import (
    ClassifierTraining,
    DecoderTraining,
    GuidanceConfig,
    LoopConfig,
    ObjectiveConfig,
    ZeroShotObjective,
)
from tests.lmac.scenes import scene_windows
from tests.models.clap.test_prompted import CLAP
from tests.models.clap.test_prompted import CONFIG as CLAP_CONFIG
from tests.models.make import small_models
from tests.training.fake_gpu import GPU, fake_gpu, put
from tests.training.test_zero_shot import windows

pytestmark = pytest.mark.slow

LOOP = LoopConfig(batch_size=6, bf16=True)


def classifier_task() -> ClassifierTask:
    return ClassifierTask(small_models()[0], scene_windows(), None, ClassifierTraining(loop=LOOP))


def decoder_task(**settings: Any) -> DecoderTask:
    classifier, decoder = small_models()
    config = DecoderTraining(loop=LOOP, noise=0.5, **settings)
    return DecoderTask(decoder, classifier, scene_windows(), None, config, "magnitude")


def zero_shot_task(prompts: int) -> ZeroShotTask:
    torch.manual_seed(0)
    clap = CLAP.with_class_embeddings(CLAP.class_embeddings)
    config = DecoderTraining(loop=LOOP, objective=ZeroShotObjective(prompts=prompts))
    return ZeroShotTask(build_decoder(CLAP_CONFIG, clap), deepcopy(clap), windows(), None, config, "magnitude")


TASKS: dict[str, Callable[[], Any]] = {
    "classifier": classifier_task,
    "decoder": decoder_task,
    "decoder without budgets": lambda: decoder_task(budgets=0.0),
    "decoder with guidance": lambda: decoder_task(objective=ObjectiveConfig(guidance=GuidanceConfig(), size="sum")),
    "zero-shot": lambda: zero_shot_task(2),
    "zero-shot, a prompt a window": lambda: zero_shot_task(1),
}


def put_task(task: Any, device: torch.device) -> None:
    """Put all that a task has on a device."""
    for name, value in list(vars(task).items()):
        if isinstance(value, torch.nn.Module):
            put(value, device)
        elif isinstance(value, Tensor):
            setattr(task, name, value.to(device))


@pytest.mark.parametrize("name", TASKS)
def test_on_a_gpu_nothing_is_left_on_the_cpu_autocast_is_the_gpu_s_and_draws_are_the_cpu_s(name: str) -> None:
    states = []
    seen: list[tuple[str, torch.dtype]] = []
    for on_gpu in (False, True):
        task, rng = TASKS[name](), torch.Generator().manual_seed(3)
        read = task.read(torch.arange(LOOP.batch_size))
        for module in task.module.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.register_forward_hook(
                    lambda module, given, output: seen.append((output.device.type, output.dtype))
                )
        with fake_gpu() if on_gpu else nullcontext(torch.device("cpu")) as device:
            put_task(task, device)
            batch = {name: torch.tensor(array).to(device) for name, array in read.items()}
            loss, scores = task.loss(batch, rng)
        assert {tensor.device for tensor in (loss, *scores.values())} == {device}
        states.append(rng.get_state())
    assert ("cpu", torch.bfloat16) in seen
    assert (GPU.type, torch.bfloat16) in seen
    assert torch.equal(*states)


def test_prompts_are_drawn_as_torch_draws_them() -> None:
    logits = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    for count in (1, 3):
        drawn = draw_prompts(logits, count, 0.6, torch.Generator().manual_seed(1))
        chance = 0.6 * logits.softmax(1) + 0.4 / 7
        assert torch.equal(drawn, torch.multinomial(chance, count, generator=torch.Generator().manual_seed(1)))


def test_a_checkpoint_of_a_gpu_lies_on_the_cpu() -> None:
    module = torch.nn.Linear(2, 2)
    with fake_gpu() as device:
        put(module, device)
        optimizer = torch.optim.AdamW(module.parameters())
        saved = on_cpu({"module": module.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3})
        kept = copy_on_cpu(module)
    assert {tensor.device.type for tensor in (*saved["module"].values(), *kept.values())} == {"cpu"}
    assert saved["epoch"] == 3
    assert saved["optimizer"]["param_groups"][0]["params"] == [0, 1]


def test_a_copy_of_the_best_weights_is_none_of_the_weights_themselves() -> None:
    module = torch.nn.Linear(2, 2)
    kept = copy_on_cpu(module)
    with torch.no_grad():
        module.weight += 1
    assert not torch.equal(kept["weight"], module.weight)
