"""Which convolutions write outside of their memory on this processor, in torch's hands and in ours.

Each cell is a convolution of one shape, forward and backward, in a process under the heap check of
glibc (``malloc.check=3``), which ends the process as it frees a block that was written beyond; the
next cell then begins in a new one. "ours" are the same shapes after
``strided_pointwise.subsample_first``, as a run trains them: there must be none, or the exit status
is 1. ``--older`` acts as a processor with AVX2 and nothing newer. See ``docs/adr/0023``.

Usage: ``python scripts/check_convolutions.py [--older]`` (two minutes on a quiet core; Linux).
"""

from __future__ import annotations

import argparse
import ctypes.util
import itertools
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import nn

from faceverify.training.optim.strided_pointwise import subsample_first

CHECK = "libc_malloc_debug.so.0"
CHECKED = {"LD_PRELOAD": CHECK, "GLIBC_TUNABLES": "glibc.malloc.check=3", "OMP_NUM_THREADS": "1"}
OLDER = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
LAYOUTS = {"channels-last": torch.channels_last, "contiguous": torch.contiguous_format}
CHANNELS = (*range(1, 18), 24, 32)


class Cell(NamedTuple):
    """A convolution of one shape, and what it is shown."""

    kernel: int
    stride: int
    groups: int
    layout: str
    precision: str
    inputs: int
    outputs: int
    size: int
    batch: int


def main() -> None:
    """Print a table for torch's convolutions and for ours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--older", action="store_true", help="act as a processor without AVX-512")
    older = parser.parse_args().older
    environment = CHECKED | (OLDER if older else {})
    if any(os.environ.get(name) != value for name, value in environment.items()):
        if ctypes.util.find_library("c_malloc_debug") is None:
            raise SystemExit(f"needs {CHECK} of glibc 2.34 or newer")
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | environment)
    torch.set_num_threads(1)
    cells = sorted(all_cells())  # a fault may show one cell late: alike ones beside each other
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    print_table("torch's", cells, faulty_ones(cells, lambda _: None))
    faulty = faulty_ones(cells, subsample_first)
    print_table("ours", cells, faulty)
    raise SystemExit(1 if faulty else 0)


def all_cells() -> Iterator[Cell]:
    """Small maps in every combination; large ones, which come in pieces, of 1 x 1 and 3 x 3."""
    for precision, layout, stride, inputs in itertools.product(
        ("float32", "bfloat16"), LAYOUTS, (1, 2, 3), CHANNELS
    ):
        for kernel, size in itertools.product((1, 3, 5, 7), (12, 13)):
            rest = (layout, precision, inputs)
            yield Cell(kernel, stride, 1, *rest, 8, size, 2)
            yield Cell(kernel, stride, inputs, *rest, inputs, size, 2)
            if inputs % 2 == 0:
                yield Cell(kernel, stride, 2, *rest, 16, size, 2)
        for outputs, size in itertools.product((4, 8, 16), (12, 60, 114)):
            yield Cell(1, stride, 1, layout, precision, inputs, outputs, size, 4)
        yield Cell(3, stride, 1, layout, precision, inputs, 8, 114, 1)


def faulty_ones(cells: list[Cell], prepare: Callable[[nn.Module], None]) -> list[Cell]:
    """Run the cells, each in a process that ended well so far; those that ended theirs."""
    found: list[Cell] = []
    start = 0
    while start < len(cells):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # glibc's last words
            for index in range(start, len(cells)):
                os.write(writing, b"%d\n" % index)
                run(cells[index], prepare)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as begun:
            last = int(begun.read().split()[-1])
        _, status = os.waitpid(child, 0)
        if status == 0:
            break
        if not os.WIFSIGNALED(status):
            raise SystemExit(f"{cells[last]} ended with {os.waitstatus_to_exitcode(status)}")
        found.append(cells[last])
        start = last + 1
    return found


def run(cell: Cell, prepare: Callable[[nn.Module], None]) -> None:
    """Forward and backward, once."""
    dtype, layout = getattr(torch, cell.precision), LAYOUTS[cell.layout]
    net = nn.Sequential(
        nn.Conv2d(
            cell.inputs, cell.outputs, cell.kernel, cell.stride, cell.kernel // 2,
            groups=cell.groups, bias=False,
        )
    )  # fmt: skip
    net = net.to(dtype=dtype, memory_format=layout)
    prepare(net)
    x = torch.randn(cell.batch, cell.inputs, cell.size, cell.size, dtype=dtype)
    y = net(x.contiguous(memory_format=layout).requires_grad_())
    y.backward(torch.ones_like(y))


def print_table(whose: str, cells: list[Cell], faulty: list[Cell]) -> None:
    """How many cells of each kind there are, and the input channels of those that are faulty."""
    print(f"{whose}: {len(faulty)} of {len(cells)} write beyond their memory")
    total = Counter(cell[:5] for cell in cells)
    for kind, count in Counter(cell[:5] for cell in faulty).items():
        kernel, stride, groups, layout, precision = kind
        channels = sorted({cell.inputs for cell in faulty if cell[:5] == kind})
        print(
            f"  {kernel} x {kernel}, stride {stride}, groups {groups}, {layout}, {precision}: "
            f"{count} of {total[kind]}, input channels {', '.join(map(str, channels))}"
        )


if __name__ == "__main__":
    main()
