"""Prefetch batches: read them in a thread and copy them to the device while the previous one is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.audio.pcm import from_pcm_tensor
from pipeline.inputs.window_set import WindowSet
from pipeline.lmac.transfer import Transfer, Upload

# Reads the windows with these numbers `[B]` into arrays by name, each `[B, ...]`.
Read = Callable[[Tensor], Mapping[str, NDArray[np.generic]]]

# Batches in flight besides the one being computed: one is being read while the other waits.
AHEAD = 2


def prefetched(
    read: Read, batches: Iterable[Tensor], device: torch.device, ahead: int = AHEAD
) -> Iterator[dict[str, Tensor]]:
    """Yield, for each batch of window numbers `[B]`, what `read` returns for it, as tensors on the device.

    `batches` is iterated in the caller's thread; `read` is called in another one, in the same order. An exception in
    `read` is raised here when its batch is due. At most `ahead` batches wait in memory.
    """
    transfer = Transfer(device)

    def load(indices: Tensor) -> dict[str, Upload]:
        return {name: transfer.upload(array) for name, array in read(indices).items()}

    coming: deque[Future[dict[str, Upload]]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        try:
            for indices in batches:
                coming.append(pool.submit(load, indices))
                if len(coming) > ahead:
                    yield _tensors(coming.popleft())
            while coming:
                yield _tensors(coming.popleft())
        finally:
            # A caller that stops early does not wait for batches that nobody will use.
            for future in coming:
                future.cancel()


def waveforms_on(device: torch.device, windows: WindowSet, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield windows `[B, n]` as float in [-1, 1] on the device, for each batch of window numbers `[B]`."""
    for batch in prefetched(lambda indices: {"samples": windows.pcm(indices)}, batches, device):
        yield from_pcm_tensor(batch["samples"])


def _tensors(loaded: Future[dict[str, Upload]]) -> dict[str, Tensor]:
    return {name: upload.tensor() for name, upload in loaded.result().items()}
