"""A GPU that is not there: tensors with shapes and a device but no values, which refuse to be mixed with the CPU's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode

GPU = torch.device("cuda", 0)


class _Made(TorchFunctionMode):
    """Makes a fake tensor of whatever is put on a GPU; what stays on the CPU is real, draws among it."""

    def __init__(self) -> None:
        super().__init__()
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if function is torch.autograd.grad:  # its engine asks the driver, which is not there
            return tuple(torch.zeros_like(tensor) for tensor in args[1])
        there = any(_on_gpu(value) for value in (*args, given.get("device")))
        # This kernel of cuDNN's has no shapes without values; PyTorch's own has.
        cudnn = torch.backends.cudnn.flags(enabled=function is not torch.nn.functional.grid_sample)
        with cudnn, self.fake if there else nullcontext():
            return function(*args, **given)


@contextmanager
def fake_gpu() -> Iterator[torch.device]:
    """A block in which tensors can be put on `cuda`, and computed with but for their values and gradients.

    Autocast acts as on a GPU, and refuses what it refuses there.
    """
    # Both say no where there is no GPU.
    there = patch("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    able = patch("torch.cuda.is_bf16_supported", lambda *given: True)
    with there, able, _Made():
        yield GPU


def put(module: nn.Module, device: torch.device) -> None:
    """Put a module on a device, in place; `nn.Module.to` cannot where the tensors are fake."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                part._parameters[name] = nn.Parameter(weight.detach().to(device), weight.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = buffer.to(device)


def _on_gpu(value: Any) -> bool:
    """Whether this is a GPU, by name or not, or a tensor on it, which `Tensor.to` takes for its device."""
    named = isinstance(value, str) and value.partition(":")[0] == "cuda"
    return named or getattr(value, "type", "") == "cuda" or isinstance(value, FakeTensor)
