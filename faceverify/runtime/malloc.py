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
from contextlib import suppress
from functools import cache

# glibc's malloc.h: number of each parameter, its default
PARAMETERS = {
    "arena_max": (-8, 0),
    "mmap_max": (-4, 65_536),
    "top_pad": (-2, 128 << 10),
    "trim_threshold": (-1, 128 << 10),
}
FOREVER = -1  # as a trim threshold; the largest int would be 2 GB of free memory
HEAP = 129 << 20  # bytes; two photos and their nets take less, and some of it is there already
NO_THREAD_CACHE = "glibc.malloc.tcache_count=0"
ASIDE = {**dict.fromkeys(range(24, 144, 16), 2000), 64 << 10: 256}  # bytes: number of blocks


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
    library = glibc()
    if library is None:
        return False
    numbered = [(PARAMETERS[name][0], value) for name, value in values.items()]
    return all(library.mallopt(number, value) == 1 for number, value in numbered)


@cache
def glibc() -> ctypes.CDLL | None:
    """The C library with the functions used here, where it is glibc."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None)
        _ = library.mallopt, library.malloc_trim
    except (OSError, AttributeError):  # another one
        return None
    library.malloc.restype = library.sbrk.restype = ctypes.c_void_p
    library.malloc.argtypes, library.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return library


def keep_memory() -> bool:
    """Make malloc keep freed memory: the memory of the process does not shrink.

    Returns:
        As :func:`set_malloc`.
    """
    kept = set_malloc(mmap_max=0, trim_threshold=FOREVER, top_pad=64 << 20)
    if kept:
        set_small_blocks_aside()
    return kept


@cache
def set_small_blocks_aside() -> None:
    """Free small blocks where no large one was: a small request takes the smallest that will do.

    torch aligns its blocks to 64 bytes. For that glibc takes some hundred bytes too many, and frees
    what is left over before and behind. If a small request gets one of those, or the first bytes of
    a large hole, then the next block as large as the one before no longer fits into its hole: so a
    step of ResNet-18 grew from 1.7 to 2.8 GB. What the cache of a thread holds is given out first
    all the same: see :func:`restart_without_thread_cache`. Measured: docs/adr/0016.
    """
    library = glibc()
    assert library is not None
    blocks = []
    for size, count in ASIDE.items():
        for _ in range(count):
            blocks.append(library.malloc(size))
            library.malloc(1)  # stays, and keeps two of them from becoming one
    for block in blocks:
        library.free(block)


def restart_without_thread_cache() -> None:
    """Begin this process anew, glibc's cache of small blocks for each thread off, if it may help.

    For a command that keeps its memory (:func:`keep_memory`), as its first act: glibc reads this
    setting when a process starts, and never again. Nothing is done where the process is not the
    command itself (a program that calls it), where it has begun anew, where the environment sets
    anything of malloc, and without glibc. Children of the process start with the cache.
    """
    if os.environ.get("GLIBC_TUNABLES") == NO_THREAD_CACHE:
        del os.environ["GLIBC_TUNABLES"]
        return
    script, *arguments = sys.orig_argv[-len(sys.argv) :]  # or what -m names
    is_command = os.path.basename(script) == "faceverify" and arguments == sys.argv[1:]
    is_set = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    if not (is_command and sys.executable and glibc()) or is_set:
        return
    environment = {**os.environ, "GLIBC_TUNABLES": NO_THREAD_CACHE}
    with suppress(OSError):  # where no process may be started, this one goes on
        os.execve(  # noqa: S606 the command that runs already
            sys.executable, [sys.executable, *sys.orig_argv[1:]], environment
        )


def give_memory_back() -> None:
    """Undo :func:`keep_memory`, and return free memory to the system.

    glibc's parameters cannot be read: they are set to its defaults. Its dynamic adjustment of two
    of them to the sizes of freed blocks stays off.
    """
    kept = ("mmap_max", "trim_threshold", "top_pad")
    if set_malloc(**{name: PARAMETERS[name][1] for name in kept}) and (library := glibc()):
        library.malloc_trim(0)


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
    library = glibc()
    if library is None or not set_malloc(arena_max=1, mmap_max=0, trim_threshold=FOREVER):
        return False
    start = -(-library.sbrk(0) // mmap.PAGESIZE) * mmap.PAGESIZE
    library.free(library.malloc(HEAP))  # grown by so much, the heap keeps it
    size = library.sbrk(0) - start
    return bool(size > 0 and library.madvise(start, size, mmap.MADV_HUGEPAGE) == 0)
