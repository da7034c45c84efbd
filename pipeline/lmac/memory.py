"""Keep freed memory in the C library for the next batch instead of returning it to the system after each."""

from __future__ import annotations

import ctypes
import sys

import torch

# Parameters of mallopt(3): from which size on a block is mapped by itself, and how much free memory is given back.
# Threads would have pools of their own, which hold no large blocks.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_MOST = 2**31 - 1
# Older versions of glibc refuse a larger threshold.
_MOST_OF_OLD = 32 << 20


def keep_freed_memory(device: torch.device) -> bool:
    """Let this process, if it computes on a CPU, keep the memory that it frees; return whether glibc does all of it.

    A batch on a CPU allocates and frees hundreds of megabytes, layer by layer. By default each such block is mapped
    anew and its pages zeroed by the kernel, which took a third of the time. A process then holds what its largest batch
    took: for workers and commands, not for a program that only borrows an explainer. A C library other than glibc is
    left as it is, and an older glibc keeps blocks of up to 32 MiB only.
    """
    if device.type != "cpu" or not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    kept = mallopt(_MMAP_THRESHOLD, _MOST) == 1
    if not kept:
        mallopt(_MMAP_THRESHOLD, _MOST_OF_OLD)
    others = [mallopt(parameter, value) == 1 for parameter, value in ((_TRIM_THRESHOLD, _MOST), (_ARENA_MAX, 1))]
    return kept and all(others)
