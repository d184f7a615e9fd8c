"""Memory is kept, and comes in huge pages, where that was asked for."""

import subprocess
import sys
from pathlib import Path

import pytest
from photographs import OBAMA, OBAMA2

from faceverify.runtime.malloc import keep_memory, use_huge_pages

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
