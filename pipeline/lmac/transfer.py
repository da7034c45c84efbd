"""Moving arrays to a device and back, on a GPU beside what it computes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Upload:
    """A tensor on its way to the device."""

    value: Tensor
    done: torch.cuda.Event | None

    def tensor(self) -> Tensor:
        """The tensor, to be computed with from now on: the device waits for it, the caller does not."""
        if self.done is not None:
            computing = torch.cuda.current_stream(self.value.device)
            computing.wait_event(self.done)
            # Its memory was taken on the stream of uploads: it goes to nobody else before the computing is done.
            self.value.record_stream(computing)
        return self.value


@dataclass(frozen=True)
class Download:
    """Tensors on their way to the CPU."""

    values: dict[str, Tensor]
    done: torch.cuda.Event | None

    def tensors(self) -> dict[str, Tensor]:
        """The values, once they are there; the call waits for them."""
        if self.done is not None:
            self.done.synchronize()
        return self.values


class Transfer:
    """The way between the CPU and one device; without a GPU nothing is copied.

    On a GPU each direction has a stream of its own, and memory that is pinned: the next batch goes up and the last one
    comes down while the present one is computed. From pageable memory a copy is several times slower, and waits for
    all that was asked of the device before.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        on_gpu = device.type == "cuda"
        self.up = torch.cuda.Stream(device) if on_gpu else None
        self.down = torch.cuda.Stream(device) if on_gpu else None

    def upload(self, array: NDArray[np.generic], rows: int | None = None) -> Upload:
        """Start to copy an array `[n, ...]` to the device, with zeros after it up to so many rows."""
        rows = len(array) if rows is None else rows
        # Through memory of its own in any case: what comes out of an object store is read-only, as no tensor can be.
        dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
        pinned = torch.empty((rows, *array.shape[1:]), dtype=dtype, pin_memory=self.up is not None)
        there = pinned.numpy()
        there[: len(array)] = array
        there[len(array) :] = 0
        if self.up is None:
            return Upload(pinned, None)
        with torch.cuda.stream(self.up):
            on_device = pinned.to(self.device, non_blocking=True)
            done = torch.cuda.Event()
            done.record(self.up)
        return Upload(on_device, done)

    def download(self, values: dict[str, Tensor]) -> Download:
        """Start to copy tensors to the CPU, as they are when all that was asked for until now is computed."""
        if self.down is None:
            return Download(values, None)
        self.down.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.down):
            copies = {}
            for name, value in values.items():
                copies[name] = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
                copies[name].copy_(value, non_blocking=True)
                value.record_stream(self.down)
            done = torch.cuda.Event()
            done.record(self.down)
        return Download(copies, done)
