"""Processes that train together: which one this is, and what they tell each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from schemas.errors import LmacError

Value = TypeVar("Value")


@dataclass(frozen=True)
class Ranks:
    """The place of this process, `rank`, among the `count` that train together; alone it is 0 of 1.

    They are those of torch's default process group, if there is one. Each computes its part of a batch, and the
    gradients are averaged. The first one validates, writes checkpoints and saves the explainer.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def of_process(cls) -> Ranks:
        """Return the place of this process."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def leads_machine(self) -> bool:
        """Whether this is the first process of its machine."""
        return os.environ.get("LOCAL_RANK", "0") == "0"

    def parallel(self, step: nn.Module) -> nn.Module:
        """Wrap a module so that `backward` averages the gradients of all processes."""
        if self.count == 1:
            return step
        # Running statistics are averaged once an epoch; the other buffers never change.
        return DistributedDataParallel(step, broadcast_buffers=False)

    def from_first(self, make: Callable[[], Value]) -> Value:
        """Return what `make` returns in the first process, in all; its LmacError is raised in all."""
        if self.count == 1:
            return make()
        told: list[Any] = [None, None]
        if self.first:
            try:
                told[0] = make()
            except LmacError as error:
                told[1] = error
        distributed.broadcast_object_list(told)
        if told[1] is not None:
            raise told[1]
        value: Value = told[0]
        return value

    def agree(self, value: object) -> bool:
        """Whether a value is the same in all processes."""
        if self.count == 1:
            return True
        found: list[object] = [None] * self.count
        distributed.all_gather_object(found, value)
        return all(one == value for one in found)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their means over all processes."""
        if self.count > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)
                tensor /= self.count

    def in_turns(self, read: Callable[[], Value]) -> Value:
        """Call `read` in the first process, then in one of each other machine, then in the rest, and return its value.

        So that what one writes to a disk is found by the others that see the same disk.
        """
        mine = 0 if self.first else 1 if self.leads_machine else 2
        found: list[Value] = []
        for turn in range(3 if self.count > 1 else 1):
            if turn == mine:
                found.append(read())
            if self.count > 1:
                distributed.barrier()
        return found[0]


def running_statistics(module: nn.Module) -> list[Tensor]:
    """Return the buffers that a module's training changes: the running statistics of batch normalisation."""
    norms = (one for one in module.modules() if isinstance(one, nn.modules.batchnorm._NormBase))
    found = (buffer for norm in norms for buffer in (norm.running_mean, norm.running_var))
    return [buffer for buffer in found if buffer is not None]
