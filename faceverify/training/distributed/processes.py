"""Processes of a run: rank, number of processes, device, and reductions of single numbers.

One process is the usual case and needs no set-up. ``torchrun`` starts several, each with its rank
in the environment. CPU tensors are sent by gloo and GPU tensors by NCCL, in one group.
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
from torch.distributed.rendezvous import rendezvous

from faceverify.errors import TrainingError, UsageError
from faceverify.runtime.launch import LAUNCHER, launched
from faceverify.runtime.patience import VARIABLE, seconds_to_wait

MEETING = timedelta(minutes=5)  # for all processes to be started
PATIENCE = timedelta(minutes=30)  # for a process that reads data, validates or compiles


@dataclass(frozen=True)
class Processes:
    """Rank and device of this process.

    Args:
        rank: its number, from 0; rank 0 prints and writes.
        world: number of processes.
        device: that it computes on.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which prints and writes."""
        return self.rank == 0

    def maximum(self, value: float) -> float:
        """The largest value of all processes (all-reduce)."""
        if self.world == 1:
            return value
        box = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(box, dist.ReduceOp.MAX)
        return float(box)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of the values of all processes (all-reduce)."""
        if self.world == 1:
            return value
        value = value.detach().clone()
        dist.all_reduce(value)
        return value / self.world

    def from_first(self, value: float) -> float:
        """The value of the first process (broadcast)."""
        if self.world == 1:
            return value
        box = torch.tensor(value, dtype=torch.float64)
        dist.broadcast(box, 0)
        return float(box)


@contextmanager
def join_processes(device: str, *, threads: int = 0) -> Iterator[Processes]:
    """Join the process group of a run inside the block; with one process there is no group.

    Args:
        device: "auto", "cpu", "cuda" or "mps".
        threads: CPU threads of this process; 0 for torch's default.

    Raises:
        UsageError: the environment of the launcher is incomplete.
        TrainingError: the device is not available, or another process of the run ended, or never
            came.
    """
    if threads:
        torch.set_num_threads(threads)
    world = launched("WORLD_SIZE", 1)
    place = find_device(device, launched("LOCAL_RANK", 0), launched("LOCAL_WORLD_SIZE", 1))
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if world == 1:
        yield Processes(0, 1, place)
        return
    backend = "cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo"
    _meet(backend, world)
    try:
        with others_alive():
            yield Processes(dist.get_rank(), dist.get_world_size(), place)
    finally:
        dist.destroy_process_group()


def _meet(backend: str, world: int) -> None:
    """Form the group of the processes, once all are there.

    Raises:
        UsageError: the environment does not say where they meet.
        TrainingError: they do not come within the time (``FACEVERIFY_WAIT``).
    """
    rank = launched("RANK")
    launched("MASTER_PORT")
    if not os.environ.get("MASTER_ADDR"):
        raise UsageError("environment: MASTER_ADDR is not set", cure=LAUNCHER)
    if rank >= world:
        raise UsageError(f"environment: RANK is {rank} of WORLD_SIZE {world}", cure=LAUNCHER)
    wait = timedelta(seconds=seconds_to_wait(MEETING.total_seconds()))
    try:
        store, _, _ = next(iter(rendezvous("env://", timeout=wait)))
        store.set_timeout(wait)
        dist.init_process_group(
            backend, store=store, rank=rank, world_size=world, timeout=max(wait, PATIENCE)
        )
    except (dist.DistError, RuntimeError, ValueError, OSError) as error:
        raise TrainingError(
            f"the {world} processes of this run do not meet at {os.environ['MASTER_ADDR']}:"
            f"{os.environ['MASTER_PORT']} within {wait.total_seconds():g} s ({_reason(error)})",
            cure=f"start all {world}, see that the address can be reached, or set {VARIABLE}, in "
            "seconds",
            code="training-processes",
        ) from error


def find_device(setting: str, local_rank: int = 0, local_world: int = 1) -> torch.device:
    """Device of this process; "auto" is the fastest available one.

    Raises:
        TrainingError: the device is not available; there is no silent fall-back.
    """
    if setting == "auto":
        if torch.cuda.is_available():
            setting = "cuda"
        else:
            setting = "mps" if torch.backends.mps.is_available() and local_world == 1 else "cpu"
    if setting == "cuda":
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
    if setting == "mps":
        if not torch.backends.mps.is_available():
            raise _no_device("--device mps: this machine has none", "use --device cpu")
        if local_world > 1:
            raise _no_device("--device mps takes one process", "leave torchrun out")
    return torch.device(setting)


def device_name(device: torch.device) -> str:
    """Name of a device in a report."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        return f"cpu ({torch.get_num_threads()} threads)"
    return str(device)


@contextmanager
def others_alive() -> Iterator[None]:
    """Turn a connection failure of torch.distributed into one line about the other process."""
    try:
        yield
    except dist.DistError as error:
        raise _went_away(error) from error
    except RuntimeError as error:
        text = str(error)
        if any(word in text for word in ("Connection closed by peer", "gloo", "NCCL", "Timed out")):
            raise _went_away(error) from error
        raise


def _reason(error: Exception) -> str:
    (reason, *_) = str(error).strip().splitlines() or [type(error).__name__]
    return reason[:120]


def _went_away(error: Exception) -> TrainingError:
    return TrainingError(
        f"another process of this run is gone or does not answer ({_reason(error)})",
        cure="see its own message; the last checkpoint stays: go on with --resume, on as many "
        "processes as there are",
        code="training-processes",
    )


def _no_device(message: str, cure: str) -> TrainingError:
    return TrainingError(message, cure=cure, code="training-device")
