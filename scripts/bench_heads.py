"""Time and peak memory of the softmax engines, with pytorch-metric-learning's in the same run.

Each figure comes from processes of its own, started in turn; the least of all their times is shown,
because other work on the machine can only add to it. On a busy one, where threads wait for each
other, ``--threads 1`` and the processor's time tell more than the clock's. Extra memory is the
highest resident size less what was there before the step, and less the gradient of the centres,
which every way has to return. Loss and gradients are compared with those of dense: the largest
difference over the largest value.

"dense" is plain torch with all logits in memory; "chunked" goes over blocks of classes; "chunked,
all kept" is that with room for all products: three matrix products instead of four.

Usage: ``python scripts/bench_heads.py`` (ten minutes and 12 GB); ``--small`` takes less of both.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from faceverify.training.losses import HEADS, build_head, head_options
from faceverify.training.losses.engine import chunked_scores

BATCH, SIZE = 128, 512
COMPARED = 10_000  # centres whose gradients are compared, the batch's own beside them
PEER = "pytorch-metric-learning"
WAYS = ("chunked", "chunked, all kept", "dense", PEER)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="100,000 classes at most")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each figure")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(**json.loads(arguments.one))))
        return
    rounds, threads, console = arguments.rounds, arguments.threads, Console(width=110)
    for classes in (10_000, 100_000) if arguments.small else (10_000, 100_000, 1_000_000):
        console.print(engines(classes, rounds, threads))
    console.print(margins((10_000, 100_000), rounds, threads))


def engines(classes: int, rounds: int, threads: int) -> Table:
    """ArcFace on each engine."""
    columns = ("", "seconds", "of dense", "CPU s", "of dense", "extra MB", "of dense", "differs by")
    title = f"a step of ArcFace, N = {BATCH}, D = {SIZE}, C = {classes:,}, threads: {threads}"
    table = Table(*columns, title=title)
    figures = in_turn([("arcface", way, classes) for way in WAYS], rounds, threads)
    dense = figures["arcface", "dense", classes]
    for way in WAYS:
        one = figures["arcface", way, classes]
        table.add_row(
            way,
            f"{one['seconds']:.3f}",
            f"{one['seconds'] / dense['seconds']:.2f}",
            f"{one['work']:.3f}",
            f"{one['work'] / dense['work']:.2f}",
            f"{one['extra']:.0f}",
            f"1/{dense['extra'] / one['extra']:.1f}",
            f"{difference(one, dense):.0e}",
        )
    return table


def margins(counts: tuple[int, ...], rounds: int, threads: int) -> Table:
    """Every head, chunked and dense."""
    names = [name for name in HEADS if name != "coco" and "engine" in head_options(name)]
    cases = [(name, way, c) for c in counts for name in names for way in ("chunked", "dense")]
    figures = in_turn(cases, rounds, threads)
    table = Table("head", title="CPU milliseconds of a step: chunked / dense")
    for count in counts:
        table.add_column(f"{count:,} classes", justify="right")
        table.add_column("ratio", justify="right")
    for name in names:
        cells = []
        for count in counts:
            ours, dense = (figures[name, way, count]["work"] for way in ("chunked", "dense"))
            cells += [f"{1000 * ours:.1f} / {1000 * dense:.1f}", f"{ours / dense:.2f}"]
        table.add_row(name, *cells)
    return table


def in_turn(
    cases: list[tuple[str, str, int]], rounds: int, threads: int
) -> dict[tuple[str, str, int], Any]:
    """Measure each case in new processes, one after the other, round after round."""
    figures: dict[tuple[str, str, int], Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for case in cases:
                head, way, classes = case
                path = str(Path(folder, "slopes.npz"))
                job = {"head": head, "way": way, "classes": classes, "path": path}
                words = json.dumps(job | {"threads": threads})
                command = [sys.executable, __file__, "--one", words]
                found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
                with np.load(path) as slopes:
                    found |= {key: slopes[key] for key in slopes.files}
                known = figures.setdefault(case, found)
                known |= {key: min(known[key], found[key]) for key in ("seconds", "work")}
    return figures


def measure(head: str, way: str, classes: int, path: str, threads: int) -> dict[str, float]:
    """Take some steps of a head in this process; its gradients go to the path."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    rows, labels = torch.randn(BATCH, SIZE, requires_grad=True), torch.randint(classes, (BATCH,))
    module, weights = module_of(head, way, classes)
    build_head("arcface", embedding_size=SIZE, classes=2)(rows, labels % 2).backward()  # a start
    before, highest = resident(), 0
    seconds, work, began = [], [], time.perf_counter()
    while len(seconds) < 2 or (time.perf_counter() - began < 2 and len(seconds) < 50):
        module.zero_grad()
        rows.grad = None
        clock, processor = time.perf_counter(), time.process_time()
        loss = module(rows, labels)
        loss.backward()
        seconds.append(time.perf_counter() - clock)
        work.append(time.process_time() - processor)
        highest = highest or peak()
    slopes = weights.grad.T if way == PEER else weights.grad
    chosen = torch.cat([labels, torch.linspace(0, classes - 1, COMPARED).long()])
    np.savez(path, rows=rows.grad.numpy(), centres=slopes[chosen].numpy())
    extra = max(highest - before - weights.grad.nbytes, 1) / 1e6
    return {"seconds": min(seconds), "work": min(work), "extra": extra, "loss": loss.item()}


def module_of(head: str, way: str, classes: int) -> tuple[Any, Any]:
    """The loss and its centres, the same numbers every time."""
    if way == "chunked, all kept":
        chunked_scores.ON_CPU = chunked_scores.Room(chunked_scores.ON_CPU.block, 2**62)
    engine = "dense" if way == PEER else way.partition(",")[0]
    torch.manual_seed(1)
    ours: Any = build_head(head, embedding_size=SIZE, classes=classes, engine=engine)
    if way != PEER:
        return ours, ours.softmax.centres
    from pytorch_metric_learning.losses import ArcFaceLoss

    theirs = ArcFaceLoss(2, SIZE, margin=float(np.degrees(ours.margin)), scale=ours.scale)
    theirs.num_classes = classes
    theirs.W = torch.nn.Parameter(ours.softmax.centres.data.T.contiguous())
    return theirs, theirs.W


def difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference of loss and gradients, each over the largest of its kind."""
    parts = [abs(one["loss"] / other["loss"] - 1)]
    for key in ("rows", "centres"):
        largest = np.abs(other[key]).max()
        parts += [float(np.abs(one[key] - other[key]).max() / largest)]
    return max(parts)


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def peak() -> int:
    """The most that they ever were."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
