"""Images a second of a whole training step, beside a plain loop with pytorch-metric-learning.

The plain loop is what a tutorial writes: torchvision's ResNet-18 with a dense layer of 512 at its
end, ArcFaceLoss, SGD with momentum; float32, or bfloat16 autocast. Ours is a step of ``faceverify
train``: the same network, the same loss, clipping of the gradient and all. Both start from the same
weights, and the losses of their first steps must agree, or the comparison says nothing.

Each figure comes from processes of its own, started in turn; the least of all their times counts,
because other work on the machine can only add to it. The first step is shown apart: it finds memory
and kernels, and compiles where that pays. bfloat16 is left out where it is emulated. Where there is
a GPU, the same follows there with IResNet-50, batches of 256 and a million classes.

Usage: ``python scripts/bench_train.py`` (three minutes on two quiet cores with AMX; says after the
first round how long the others take).
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from faceverify.training.backbones import build_backbone
from faceverify.training.config.optimisation import Compute
from faceverify.training.distributed.processes import Processes
from faceverify.training.losses import build_loss
from faceverify.training.optim.cpu import tuned_process
from faceverify.training.optim.optimisers import make_optimiser, parameter_groups
from faceverify.training.optim.precision import PRECISIONS, emulates_bfloat16, make_executor

PEER, OURS = "plain loop", "faceverify"
SIZE, MARGIN, SCALE = 512, 0.5, 64.0
RATE, MOMENTUM, DECAY, CLIP = 0.1, 0.9, 5e-4, 5.0


@dataclass(frozen=True)
class Work:
    """What is measured: a network, a batch, a number of classes, a device."""

    network: str
    batch: int
    classes: int
    device: str


ON_CPU = Work("resnet18", 128, 10_000, "cpu")
ON_GPU = Work("iresnet50", 256, 1_000_000, "cuda")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2, help="of the processor")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each figure")
    parser.add_argument("--steps", type=int, default=5, help="measured in each")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(**json.loads(arguments.one))))
        return
    console = Console(width=110)
    for work in (ON_CPU, *([ON_GPU] if torch.cuda.is_available() else [])):
        console.print(compared(work, arguments.rounds, arguments.steps, arguments.threads))


def compared(work: Work, rounds: int, steps: int, threads: int) -> Table:
    """Ours and the plain loop, in both precisions, or in float32 where bfloat16 is emulated."""
    figures: dict[tuple[str, str], dict[str, float]] = {}
    precisions = ["float32", "bfloat16"]
    if emulates_bfloat16(torch.device(work.device)):
        note("bfloat16 is left out: this device has no instructions for it and emulates it")
        precisions.remove("bfloat16")
    began = time.monotonic()
    for number in range(rounds):
        for precision, way in itertools.product(precisions, (PEER, OURS)):
            found = in_a_process(work, way, precision, steps, threads)
            known = figures.setdefault((way, precision), found)
            known |= {key: min(known[key], found[key]) for key in ("seconds", "work")}
        if number == 0:
            taken = (time.monotonic() - began) / 60
            note(f"{work.network}: {rounds} rounds of {taken:.1f} minutes")
    device = torch.cuda.get_device_name() if work.device == "cuda" else platform.machine()
    table = Table(
        *(
            "",
            "precision",
            "images/s",
            "of plain",
            "CPU s",
            "of plain",
            "first step s",
            "first loss",
        ),
        title=f"{work.network} at 112, batch {work.batch}, {work.classes:,} classes, "
        f"{device}, threads: {threads}, torch {torch.__version__}",
    )
    for (way, precision), one in figures.items():
        plain = figures[PEER, precision]
        if abs(one["loss"] / plain["loss"] - 1) > (1e-4 if precision == "float32" else 0.02):
            raise SystemExit(f"{way} in {precision} computes another loss: {one} and {plain}")
        table.add_row(
            way,
            precision,
            f"{work.batch / one['seconds']:.1f}",
            f"{plain['seconds'] / one['seconds']:.2f}",
            f"{one['work']:.3f}",
            f"{plain['work'] / one['work']:.2f}",
            f"{one['first']:.1f}",
            f"{one['loss']:.4f}",
        )
    return table


def note(text: str) -> None:
    """Say something that is no figure."""
    print(text, file=sys.stderr)


def in_a_process(
    work: Work, way: str, precision: str, steps: int, threads: int
) -> dict[str, float]:
    """Measure in a new process: what one way does to its process must not help the other."""
    job = {**vars(work), "way": way, "precision": precision, "steps": steps, "threads": threads}
    command = [sys.executable, __file__, "--one", json.dumps(job)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout))


def measure(
    way: str,
    network: str,
    batch: int,
    classes: int,
    device: str,
    precision: str,
    steps: int,
    threads: int,
) -> dict[str, float]:
    """Take some steps in this process."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    place = torch.device(device)
    images = torch.randn(batch, 3, 112, 112).to(place)
    labels = torch.randint(classes, (batch,)).to(place)
    backbone = network_of(network)
    centres = torch.randn(classes, SIZE, device=place) * 0.01
    make = plain_step if way == PEER else our_step
    step = make(backbone.to(place), centres, precision)

    def timed() -> tuple[float, float, float]:
        clock, processor = time.perf_counter(), time.process_time()
        loss = float(step(images, labels))  # waits for a GPU
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - clock, time.process_time() - processor, loss

    with nullcontext() if way == PEER else tuned_process(place):
        first, _, loss = timed()
        timed()
        times = [timed() for _ in range(steps)]
    return {
        "first": first,
        "loss": loss,
        "seconds": min(seconds for seconds, _, _ in times),
        "work": min(work for _, work, _ in times),
    }


def network_of(name: str) -> nn.Module:
    """The network, the same weights every time: ResNet-18 as torchvision has it."""
    options: dict[str, Any] = {}
    if name == "resnet18":
        options = {"stem": "original", "neck": "pool"}
    return build_backbone(name, embedding_size=SIZE, **options)


def our_step(
    backbone: nn.Module, centres: Tensor, precision: str
) -> Callable[[Tensor, Tensor], Tensor]:
    """A step as ``faceverify.training.loop`` takes it."""
    device = centres.device
    criterion = build_loss(
        "arcface", embedding_size=SIZE, classes=len(centres), margin=MARGIN, scale=SCALE
    ).to(device)
    criterion.softmax.centres.data.copy_(centres)  # type: ignore[union-attr, operator]
    executor = make_executor(backbone, Compute(precision=precision), Processes(0, 1, device))
    optimiser = make_optimiser(
        "sgd",
        parameter_groups(backbone, criterion, learning_rate=RATE, weight_decay=DECAY),
        momentum=MOMENTUM,
    )

    def step(images: Tensor, labels: Tensor) -> Tensor:
        optimiser.zero_grad(set_to_none=True)
        images = images.contiguous(memory_format=torch.channels_last)
        with executor.autocast():
            embeddings = executor.embed([images])[0]
        loss: Tensor = criterion(embeddings, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(backbone.parameters(), CLIP)
        optimiser.step()
        return loss.detach()

    return step


def plain_step(
    backbone: nn.Module, centres: Tensor, precision: str
) -> Callable[[Tensor, Tensor], Tensor]:
    """A step as a tutorial takes it."""
    from pytorch_metric_learning.losses import ArcFaceLoss

    device = centres.device
    net = as_torchvisions(backbone) if type(backbone).__name__ == "ResNet" else backbone
    margin = MARGIN * 180 / torch.pi
    loss_function = ArcFaceLoss(len(centres), SIZE, margin=margin, scale=SCALE).to(device)
    loss_function.W.data.copy_(centres.T)
    optimiser = torch.optim.SGD(
        [*net.parameters(), *loss_function.parameters()],
        lr=RATE,
        momentum=MOMENTUM,
        weight_decay=DECAY,
    )

    def step(images: Tensor, labels: Tensor) -> Tensor:
        optimiser.zero_grad()
        dtype = PRECISIONS[precision]
        with torch.autocast(device.type, dtype, enabled=precision != "float32"):
            loss: Tensor = loss_function(net(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return loss.detach()

    return step


def as_torchvisions(backbone: nn.Module) -> nn.Module:
    """Torchvision's ResNet-18 with the weights of ours."""
    from torchvision.models import resnet18

    net: nn.Module = resnet18(weights=None, num_classes=SIZE)
    names = {"stem.0": "conv1", "stem.1": "bn1", "neck.projection": "fc"}
    names |= {f"stage{index}": f"layer{index}" for index in range(1, 5)}
    state = {}
    for key, value in backbone.state_dict().items():
        ours = next(name for name in names if key.startswith(f"{name}."))
        state[names[ours] + key.removeprefix(ours)] = value
    net.load_state_dict(state)
    return net


if __name__ == "__main__":
    main()
