"""Memory is kept, and comes in huge pages, where that was asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from photographs import OBAMA, OBAMA2

from faceverify.runtime.malloc import NO_THREAD_CACHE, keep_memory, use_huge_pages

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALLOC_TOP_PAD_", "1"),
        ("MALLOC_MMAP_MAX_", "3"),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_max=3"),
    ],
)
def test_what_the_environment_sets_stays(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert not keep_memory()


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "MALLOC_MMAP_MAX_"])
def test_nor_is_the_heap_changed(monkeypatch, name):
    monkeypatch.setenv(name, "3")
    assert not use_huge_pages.__wrapped__()


HEAP = """
import atexit, sys

def heap():
    "Kilobytes of the heap that are advised to be huge pages: flag hg."
    parts = open("/proc/self/smaps").read().split("[heap]")[1:]
    advised = [part for part in parts if "hg" in part.split("VmFlags:")[1].split("\\n")[0].split()]
    print(sum(int(part.split("Size:")[1].split()[0]) for part in advised), file=sys.stderr)

atexit.register(heap)
from faceverify.cli import main
main()
"""


@pytest.mark.thorough
@pytest.mark.skipif(not HUGE_PAGES.is_dir(), reason="a kernel without huge pages on request")
@pytest.mark.parametrize(
    ("command", "huge"), [(["verify", "--threshold", "0.6"], True), (["embed"], False)]
)
def test_two_photos_are_verified_in_huge_pages(command, huge):
    """Not those of a command that may run for hours: it gives its memory back."""
    done = subprocess.run(
        [sys.executable, "-c", HEAP, *command, OBAMA, OBAMA2],
        capture_output=True,
        text=True,
        check=True,
    )
    if not use_huge_pages():
        pytest.skip("not glibc's allocator")
    assert (int(done.stderr.splitlines()[-1]) >= 128 << 10) == huge


FAULTS = """
import resource
from faceverify.runtime.malloc import give_memory_back, keep_memory

def faults():
    for _ in range(12):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        bytearray(64 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def held():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20

print(faults(), keep_memory(), held(), faults(), held(), give_memory_back() or held())
"""


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_memory_is_kept():
    """A step that needs 64 MB again and again, soon asks the system for none; until the end."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    )
    before, kept, *numbers = done.stdout.split()
    if kept == "False":
        pytest.skip("not glibc's allocator")
    held, after, held_by_steps, held_at_the_end = map(int, numbers)
    assert after < 100 < int(before)
    assert held_by_steps > held + 50  # MiB
    assert held_at_the_end < held + 20


STEPS = """
import ctypes, random, sys
from faceverify.runtime import malloc

if sys.argv[1:] == ["nothing aside"]:
    malloc.set_small_blocks_aside = lambda: None
kept = malloc.keep_memory()
library = ctypes.CDLL(None)
library.malloc.restype = library.sbrk.restype = ctypes.c_void_p
library.malloc.argtypes, library.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
draw, end, older = random.Random(0), library.sbrk(0), []

def large(stage):
    place, size = ctypes.c_void_p(), ctypes.c_size_t(2**26 >> stage)
    library.posix_memalign(ctypes.byref(place), ctypes.c_size_t(64), size)
    return place

def small():
    return [library.malloc(draw.randrange(16, 128)) for _ in range(6)]

for _ in range(8):  # steps: maps of four stages, then their gradients, backwards
    live = [(stage, large(stage), small()) for stage in range(4) for _ in range(6)]
    gradient, longer = large(3), []
    while live:
        stage, activation, few = live.pop()
        gradient, last = large(stage), gradient
        few += small()
        longer += [few.pop(), few.pop()]  # stay until the end of the next step
        for block in (last, activation, *few):
            library.free(block)
    for block in (gradient, *older):
        library.free(block)
    older = longer
print(kept, (library.sbrk(0) - end) >> 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_a_large_block_fits_where_one_as_large_was():
    """Steps that need 720 MB take hardly more; without small blocks aside they would."""

    def grown_to(*arguments):
        environment = {**os.environ, "GLIBC_TUNABLES": NO_THREAD_CACHE}
        done = subprocess.run(
            [sys.executable, "-c", STEPS, *arguments],
            capture_output=True, text=True, check=True, env=environment,
        )  # fmt: skip
        kept, grown = done.stdout.split()
        if kept == "False":
            pytest.skip("not glibc's allocator")
        return int(grown)

    assert grown_to() < 800 < grown_to("nothing aside")


STARTS = """
import atexit, os
for when in ("starts with", "leaves"):
    said = lambda when=when: print(when, os.environ.get("GLIBC_TUNABLES"), flush=True)
    said() if when != "leaves" else atexit.register(said)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
@pytest.mark.parametrize(
    ("given", "starts"),
    [
        ({}, [None, NO_THREAD_CACHE]),
        ({"MALLOC_ARENA_MAX": "2"}, [None]),
        ({"GLIBC_TUNABLES": "glibc.malloc.mmap_max=3"}, ["glibc.malloc.mmap_max=3"]),
    ],
)
def test_a_run_starts_itself_without_the_cache_of_its_threads(tmp_path, given, starts):
    """Unless the environment sets something of malloc; and its children start with the cache."""
    (tmp_path / "sitecustomize.py").write_text(STARTS)
    other = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    other.pop("GLIBC_TUNABLES", None)
    done = subprocess.run(
        [sys.executable, "-m", "faceverify", "train", "--resume"],
        capture_output=True, text=True, cwd=tmp_path,
        env={**other, "PYTHONPATH": str(tmp_path), **given},
    )  # fmt: skip
    assert done.returncode == 2
    left = given.get("GLIBC_TUNABLES")
    said = [f"starts with {one}" for one in starts]
    assert done.stdout.splitlines() == [*said, f"leaves {left}"]
