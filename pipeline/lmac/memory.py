"""The C library's memory, kept for the next batch instead of given back to the system after each."""

from __future__ import annotations

import ctypes
import sys

# Parameters of mallopt(3): from which size on a block is mapped by itself, and how much free memory is given back.
# Threads would have pools of their own, which hold no large blocks.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep what it frees; return whether the C library can be told so, which is glibc's own.

    A batch on a CPU frees and asks for hundreds of megabytes, layer by layer. By default each such block is mapped anew
    and its pages filled with zeros by the kernel, which took a third of all time. A process then holds what its largest
    batch took: for workers and trainings, not for a program that only borrows an explainer.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = ((_MMAP_THRESHOLD, _MOST), (_TRIM_THRESHOLD, _MOST), (_ARENA_MAX, 1))
    return all(mallopt(parameter, value) == 1 for parameter, value in wanted)
