"""Copy arrays to a device and back, overlapping with computation on a GPU."""

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
        """Return the tensor, ready for use: the device waits for the copy, the caller does not."""
        if self.done is not None:
            computing = torch.cuda.current_stream(self.value.device)
            computing.wait_event(self.done)
            # Its memory was allocated on the upload stream: it must not be reused before the computation is done.
            self.value.record_stream(computing)
        return self.value


@dataclass(frozen=True)
class Download:
    """Tensors on their way to the CPU."""

    values: dict[str, Tensor]
    done: torch.cuda.Event | None

    def tensors(self) -> dict[str, Tensor]:
        """Wait for the copies to arrive, and return them."""
        if self.done is not None:
            self.done.synchronize()
        return self.values


class Transfer:
    """Copies between the CPU and one device; without a GPU nothing is copied.

    On a GPU each direction has its own stream and pinned memory: the next batch is uploaded and the previous one
    downloaded while the current one is computed. Copies from pageable memory are several times slower, and wait for
    all work queued on the device before.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        on_gpu = device.type == "cuda"
        self.up = torch.cuda.Stream(device) if on_gpu else None
        self.down = torch.cuda.Stream(device) if on_gpu else None

    def upload(self, array: NDArray[np.generic], rows: int | None = None) -> Upload:
        """Start copying an array `[n, ...]` to the device, padded with zeros up to `rows` rows."""
        rows = len(array) if rows is None else rows
        # Always through a new buffer: arrays from an object store are read-only, and tensors cannot be.
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
        """Start copying tensors to the CPU, as they will be once all work queued so far is done."""
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
