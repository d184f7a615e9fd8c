"""The processes of a run: which one this is, on which device, and what they agree on.

One process is the ordinary case, and needs nothing. ``torchrun`` starts several: each finds its
number in the environment. CPU tensors travel over gloo and GPU tensors over NCCL, in one group.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor
from torch import distributed as dist

from faceverify.errors import TrainingError

PATIENCE = timedelta(minutes=30)  # for a process that reads data, validates or compiles


@dataclass(frozen=True)
class Processes:
    """This process among all of its run.

    Args:
        rank: its number, from 0; the first one speaks and writes.
        world: how many there are.
        device: that it computes on.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that speaks and writes."""
        return self.rank == 0

    def agree(self, value: float) -> float:
        """The largest of all processes' values: whether any wants to stop, what took longest."""
        if self.world == 1:
            return value
        box = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(box, dist.ReduceOp.MAX)
        return float(box)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of all processes' values."""
        if self.world == 1:
            return value
        value = value.detach().clone()
        dist.all_reduce(value)
        return value / self.world

    def said_by_first(self, value: float) -> float:
        """What the first process says."""
        if self.world == 1:
            return value
        box = torch.tensor(value, dtype=torch.float64)
        dist.broadcast(box, 0)
        return float(box)


@contextmanager
def joined(device: str, *, threads: int = 0) -> Iterator[Processes]:
    """Join the other processes of this run, if there are any, and leave them at the end.

    Args:
        device: "auto", "cpu", "cuda" or "mps".
        threads: of a processor that this process may use; 0 leaves it to torch.

    Raises:
        TrainingError: the device is not there, or another process of the run went away.
    """
    if threads:
        torch.set_num_threads(threads)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    place = find_device(device, local_rank, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if world == 1:
        yield Processes(0, 1, place)
        return
    backend = "cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo"
    with others_alive():
        dist.init_process_group(backend, timeout=PATIENCE)
    try:
        with others_alive():
            yield Processes(dist.get_rank(), dist.get_world_size(), place)
    finally:
        dist.destroy_process_group()


def find_device(wanted: str, local_rank: int = 0, local_world: int = 1) -> torch.device:
    """The device of this process; "auto" takes the fastest that is there.

    Raises:
        TrainingError: one that was asked for is not there: never a silent fall-back.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            wanted = "cuda"
        else:
            wanted = "mps" if torch.backends.mps.is_available() and local_world == 1 else "cpu"
    if wanted == "cuda":
        if not torch.cuda.is_available():
            built = "no CUDA device is visible"
            if torch.version.cuda is None:
                built = "this torch is built without CUDA"
            raise _no_device(f"--device cuda: {built}", "use --device cpu, or install the driver")
        count = torch.cuda.device_count()
        if local_world > count:
            raise _no_device(
                f"{local_world} processes on this machine, {count} GPUs",
                f"use torchrun --nproc-per-node {count}, or --device cpu",
            )
        return torch.device("cuda", local_rank)
    if wanted == "mps":
        if not torch.backends.mps.is_available():
            raise _no_device("--device mps: this machine has none", "use --device cpu")
        if local_world > 1:
            raise _no_device("--device mps takes one process", "leave torchrun out")
    return torch.device(wanted)


def device_name(device: torch.device) -> str:
    """What to call a device in a report."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        return f"cpu ({torch.get_num_threads()} threads)"
    return str(device)


@contextmanager
def others_alive() -> Iterator[None]:
    """Turn the library's failure of a connection into one line about the other process."""
    try:
        yield
    except dist.DistError as error:
        raise _went_away(error) from error
    except RuntimeError as error:
        text = str(error)
        if any(word in text for word in ("Connection closed by peer", "gloo", "NCCL", "Timed out")):
            raise _went_away(error) from error
        raise


def _went_away(error: Exception) -> TrainingError:
    (reason, *_) = str(error).strip().splitlines() or [type(error).__name__]
    return TrainingError(
        f"another process of this run is gone or does not answer ({reason[:120]})",
        cure="see its own message; the last checkpoint stays: go on with --resume, on as many "
        "processes as there are",
        code="training-processes",
    )


def _no_device(message: str, cure: str) -> TrainingError:
    return TrainingError(message, cure=cure, code="training-device")
