"""Keep freed memory in the C library for the next batch instead of returning it to the system after each."""

from __future__ import annotations

import ctypes
import sys

# Parameters of mallopt(3): how much free memory triggers a trim, and the size from which a block is mapped by itself.
# One arena only: threads would otherwise have pools of their own, which hold no large blocks.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees; return whether the C library supports this, as only glibc does.

    A batch on a CPU allocates and frees hundreds of megabytes, layer by layer. By default each such block is mapped
    anew and its pages zeroed by the kernel, which took a third of all time. With this setting a process keeps as much
    memory as its largest batch took, so it is for workers and trainings, not for programs that merely use an explainer.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = ((_MMAP_THRESHOLD, _MOST), (_TRIM_THRESHOLD, _MOST), (_ARENA_MAX, 1))
    return all(mallopt(parameter, value) == 1 for parameter, value in wanted)
