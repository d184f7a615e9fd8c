"""glibc's malloc: memory that is kept for the next block, and the heap in huge pages.

By default glibc maps each large block and unmaps it when it is freed: the system then clears, page
by page, what was used a moment ago. Parameters are those of mallopt(3); others have none, and
nothing is changed where the user's environment sets one of them.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from functools import cache

# glibc's malloc.h: number of each parameter, its default
PARAMETERS = {
    "arena_max": (-8, 0),
    "mmap_max": (-4, 65_536),
    "top_pad": (-2, 128 << 10),
    "trim_threshold": (-1, 128 << 10),
}
FOREVER = 2**31 - 1
HEAP = 128 << 20  # bytes; two photos and their nets take less


def set_malloc(**values: int) -> bool:
    """Set parameters of malloc.

    Returns:
        Whether they were set: on Linux with glibc, where the environment sets none of them
        (``MALLOC_TOP_PAD_`` and the like).
    """
    given = os.environ.get("GLIBC_TUNABLES", "")
    for name in values:
        variables = (f"MALLOC_{name.upper()}_", f"MALLOC_{name.upper()}")
        if f"glibc.malloc.{name}" in given or any(one in os.environ for one in variables):
            return False
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return all(mallopt(PARAMETERS[name][0], value) == 1 for name, value in values.items())


def keep_memory() -> bool:
    """Make malloc keep freed memory: the memory of the process does not shrink.

    Returns:
        As :func:`set_malloc`.
    """
    return set_malloc(mmap_max=0, trim_threshold=FOREVER, top_pad=64 << 20)


def give_memory_back() -> None:
    """Undo :func:`keep_memory`, and return free memory to the system.

    glibc's parameters cannot be read: they are set to its defaults. Its dynamic adjustment of two
    of them to the sizes of freed blocks stays off.
    """
    kept = ("mmap_max", "trim_threshold", "top_pad")
    set_malloc(**{name: PARAMETERS[name][1] for name in kept})
    ctypes.CDLL(None).malloc_trim(0)


@cache
def use_huge_pages() -> bool:
    """Keep memory, in one heap of huge pages, until the process ends.

    For a process that loads a model, answers and is gone: clearing small pages, most of them
    several times, is a quarter of its time. The kernel gives huge pages on request ("madvise" in
    /sys/kernel/mm/transparent_hugepage/enabled), as it does on most systems.

    Returns:
        Whether they were asked for; as :func:`set_malloc`.
    """
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return False
    if not set_malloc(arena_max=1, mmap_max=0, trim_threshold=FOREVER):
        return False
    library = ctypes.CDLL(None)
    library.malloc.restype = library.sbrk.restype = ctypes.c_void_p
    library.malloc.argtypes, library.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    start = -(-library.sbrk(0) // mmap.PAGESIZE) * mmap.PAGESIZE
    library.free(library.malloc(HEAP))  # grown by so much, the heap keeps it
    size = library.sbrk(0) - start
    return bool(size > 0 and library.madvise(start, size, mmap.MADV_HUGEPAGE) == 0)
