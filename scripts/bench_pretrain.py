"""A step of learning without names, beside the loop that lightly's documentation has one write.

ResNet-18 (torchvision's: stem of 7 x 7, mean at its end, 512 numbers), batches of 128, 112 x 112,
float32, on the CPU; DINO with four small views beside its two, on both sides. Both start from the
same backbone and get the same tensors: making them is ``bench_views.py``. The peer's loop and heads
are ``lightly_loops.py``, its backbone torchvision's own; ours is ``faceverify.training.loop``, with
its log, its clipping and its watch for collapse.

Each figure comes from processes of its own, started in turn; the least of all their times counts,
because other work on the machine can only add to it: on a busy one the processor's time tells more
than the clock's. Memory is the highest resident size of such a process, less what it had before the
first step.

Usage: ``python scripts/bench_pretrain.py`` (ten minutes on two quiet cores; needs ``pip install
lightly``); ``--methods simclr dino``, ``--threads 1``, ``--batch 32`` for less.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from processor_name import processor
from rich.console import Console
from rich.table import Table
from torch import Tensor

from faceverify.runtime.malloc import NO_THREAD_CACHE
from faceverify.training.backbones import build_backbone
from faceverify.training.checkpoint.checkpoint import Progress
from faceverify.training.config.checked import config_from_dict
from faceverify.training.config.files import read_recipe
from faceverify.training.data.views import Batch
from faceverify.training.distributed.processes import Processes
from faceverify.training.loop import train
from faceverify.training.metrics_log import MetricsLog
from faceverify.training.optim.cpu import tuned_process
from faceverify.training.run.contract import contract_of
from faceverify.training.stopping import StopRequest
from faceverify.training.train_state import build_train_state

PEER, OURS = "lightly", "faceverify"
METHODS = ("simclr", "moco", "byol", "dino")
SIZE, SIDE, SMALL, IMAGES = 512, 112, 56, 16_668
NETWORK: dict[str, Any] = {
    "name": "resnet18", "stem": "original", "neck": "pool", "embedding_size": SIZE, "width": 64,
}  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--threads", type=int, default=2, help="of the processor")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3, help="processes for each figure")
    parser.add_argument("--steps", type=int, default=3, help="measured in each")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(**json.loads(asked.one))))
        return
    figures: dict[tuple[str, str], dict[str, float]] = {}
    for _ in range(asked.rounds):
        for method in asked.methods:
            for way in (PEER, OURS):
                job = {"method": method, "way": way, "batch": asked.batch, "steps": asked.steps,
                       "threads": asked.threads}  # fmt: skip
                command = [sys.executable, __file__, "--one", json.dumps(job)]
                # as `faceverify pretrain` starts itself
                own = {"GLIBC_TUNABLES": NO_THREAD_CACHE} if way == OURS else {}
                done = subprocess.run(
                    command, check=True, stdout=subprocess.PIPE, env={**os.environ, **own}
                )
                found = json.loads(done.stdout.splitlines()[-1])
                print(method, way, found, file=sys.stderr, flush=True)
                known = figures.setdefault((method, way), found)
                figures[method, way] = {key: min(known[key], found[key]) for key in found}
    table = Table(
        "", "", "images/s", "of lightly", "CPU s", "of lightly", "MB", "of lightly",
        title=f"ResNet-18, batch {asked.batch}, float32, {processor()}, threads: {asked.threads}, "
        f"torch {torch.__version__}",
    )  # fmt: skip
    for (method, way), one in figures.items():
        peer = figures[method, PEER]
        table.add_row(
            method if way == PEER else "",
            way,
            f"{asked.batch / one['seconds']:.1f}",
            f"{peer['seconds'] / one['seconds']:.2f}",
            f"{one['work']:.2f}",
            f"{peer['work'] / one['work']:.2f}",
            f"{one['memory']:.0f}",
            f"{one['memory'] / peer['memory']:.2f}",
        )
    Console(width=110).print(table)


def resident() -> float:
    """Highest resident size of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(method: str, way: str, batch: int, steps: int, threads: int) -> dict[str, float]:
    """Take some steps in this process."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    small = 4 if method == "dino" else 0
    sides = [SIDE, SIDE, *[SMALL] * small]
    views = [torch.randn(batch, 3, side, side) for side in sides]
    make = our_step if way == OURS else peer_step
    step = make(method, views)
    before = resident()
    with tuned_process(torch.device("cpu")) if way == OURS else nullcontext():
        step(2)  # finds memory and kernels
        times = []
        for _ in range(steps):
            clock, work = time.perf_counter(), time.process_time()
            step(1)
            times.append((time.perf_counter() - clock, time.process_time() - work))
    return {
        "seconds": min(seconds for seconds, _ in times),
        "work": min(work for _, work in times),
        "memory": resident() - before,
    }


def our_step(method: str, views: list[Tensor]) -> Callable[[int], None]:
    """Some steps of the loop."""
    recipe = read_recipe(f"pretrain-{method}")
    recipe["backbone"] = NETWORK
    recipe["batches"] = {"size": len(views[0])}
    recipe["compute"] = {"precision": "float32", "device": "cpu"}
    config = config_from_dict(recipe)
    alone = Processes(0, 1, torch.device("cpu"))
    state = build_train_state(
        config,
        contract=contract_of(config.backbone, config.data),
        classes=1,
        images=IMAGES,
        processes=alone,
    )
    made = [view.contiguous(memory_format=torch.channels_last) for view in views]  # by the loader
    source = Repeated(Batch(made, torch.zeros(len(made[0])), np.arange(len(made[0]))))

    def take(count: int) -> None:
        with MetricsLog(None) as log:
            train(
                state, config, Progress(steps=count), source, processes=alone, log=log,
                save=lambda _progress, _results: None, validate=None, stop=StopRequest(),
            )  # fmt: skip

    return take


class Repeated:
    """A source of one batch, again and again."""

    steps, stills = 1_000_000, None

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        while True:
            yield self.batch


def peer_step(method: str, views: list[Tensor]) -> Callable[[int], None]:
    """Some steps of the plain loop."""
    import lightly_loops
    from bench_train import as_torchvisions

    torch.manual_seed(0)
    options = {key: value for key, value in NETWORK.items() if key != "name"}
    net = as_torchvisions(build_backbone(str(NETWORK["name"]), **options))
    model = lightly_loops.PLAIN[method](net.train(), SIZE)
    optimiser = model.optimiser()

    def take(count: int) -> None:
        for _ in range(count):
            float(lightly_loops.step(model, optimiser, views, 0.5))

    return take


if __name__ == "__main__":
    main()
