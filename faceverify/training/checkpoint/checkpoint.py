"""Checkpoints: all of a run at one step, in a folder that appears whole or not at all.

::

    checkpoints/
      step-00000400/
        position.json    step, epoch and what else is no tensor
        part-00000-of-00001.safetensors    the tensors, a file a process (storage.py)
      best.json          which of them verified best

A checkpoint is written beside its place, synced and renamed: a folder without a leading dot is
whole. The last ones and the best stay.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch import distributed as dist

from faceverify.errors import OutputError, TrainingError
from faceverify.runtime.files import atomic_write
from faceverify.training.checkpoint.storage import Rows, Tensors, fill, opened_parts, write_part
from faceverify.training.distributed.collectives import process_count, process_index

POSITION, BEST = "position.json", "best.json"
SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Position:
    """Where a run stands, between two steps. What is drawn follows from it and from the seed.

    Args:
        step: optimiser steps done.
        steps: of the whole run.
        epoch: passes over the data begun and ended.
        batch: batches of the running epoch that are done.
        images: seen so far.
        seconds: of training so far, stops left out.
    """

    step: int = 0
    steps: int = 0
    epoch: int = 0
    batch: int = 0
    images: int = 0
    seconds: float = 0.0


def save_checkpoint(folder: Path, position: Position, tensors: Tensors) -> Path:
    """Write a checkpoint; all processes call it together.

    Args:
        folder: of the run's checkpoints; made if missing.
        position: where the run stands.
        tensors: all that it has learned; see :class:`Rows` for what is cut over processes.

    Raises:
        OutputError: it cannot be written, in any process; those that were there still are.
    """
    place = folder / f"step-{position.step:08d}"
    aside = folder / f".{place.name}.part"
    rank, world = process_index(), process_count()
    with _all_or_none(place, aside):
        if rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
    with _all_or_none(place, aside):
        write_part(aside, tensors, rank=rank, world=world)
    with _all_or_none(place, aside):
        if rank == 0:
            atomic_write(aside / POSITION, json.dumps(asdict(position), indent=1).encode())
            _replace(aside, place)
    return place


def load_position(checkpoint: Path) -> Position:
    """Where the run stood.

    Raises:
        TrainingError: no whole checkpoint.
    """
    try:
        values = json.loads((checkpoint / POSITION).read_text(encoding="utf-8"))
        return Position(**values)
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(checkpoint, error) from error


def stored_tensors(checkpoint: Path) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Names, shapes and types of what a checkpoint holds.

    Raises:
        TrainingError: no whole checkpoint.
    """
    with _whole(checkpoint), opened_parts(checkpoint) as parts:
        return {name: (stored.size, stored.dtype) for name, stored in parts.items()}


def load_tensors(checkpoint: Path, tensors: Tensors) -> None:
    """Fill tensors in place, on as many processes as there are now.

    Args:
        checkpoint: its folder.
        tensors: to fill.

    Raises:
        TrainingError: the checkpoint is of another architecture or head, or damaged.
    """
    with _whole(checkpoint), opened_parts(checkpoint) as parts:
        missing = [f"no {name}" for name in tensors if name not in parts]
        other = [
            f"{name} {tuple(parts[name].size)} instead of {_whole_shape(value)}"
            for name, value in tensors.items()
            if name in parts and tuple(parts[name].size) != _whole_shape(value)
        ]
        if shown := missing + other:
            more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
            raise TrainingError(
                f"{checkpoint}: of another backbone or head: {', '.join(shown[:SHOWN])}{more}",
                cure="resume with the configuration that the run began with",
                code="training-checkpoint",
            )
        for name, value in tensors.items():
            fill(value, parts[name])


def read_part(checkpoint: Path, part: str) -> dict[str, Tensor]:
    """The tensors of one part (``backbone``, ``average``), by their own names, on the CPU.

    Raises:
        TrainingError: no whole checkpoint, or without that part.
    """
    prefix = f"{part}."
    weights = {
        name: torch.empty(size, dtype=dtype)
        for name, (size, dtype) in stored_tensors(checkpoint).items()
        if name.startswith(prefix)
    }
    if not weights:
        raise TrainingError(f"{checkpoint}: holds no {part}", code="training-checkpoint")
    load_tensors(checkpoint, dict(weights))
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items()}


def checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, the oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / POSITION).is_file())


def latest(folder: Path) -> Path | None:
    """The last whole checkpoint of a run; None where there is none."""
    return next(reversed(checkpoints(folder)), None)


def mark_best(folder: Path, checkpoint: Path, figure: float) -> None:
    """Remember which checkpoint verified best, and how well."""
    text = json.dumps({"checkpoint": checkpoint.name, "figure": figure})
    atomic_write(folder / BEST, text.encode())


def best(folder: Path) -> tuple[Path, float] | None:
    """The checkpoint that verified best, and its figure; None where none was verified."""
    try:
        found = json.loads((folder / BEST).read_text(encoding="utf-8"))
        path, figure = folder / Path(str(found["checkpoint"])).name, float(found["figure"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return (path, figure) if path in checkpoints(folder) else None


def remove_old(folder: Path, keep: int) -> None:
    """Remove all checkpoints but the best and the last ``keep``, and what was never finished."""
    found = best(folder)
    for path in checkpoints(folder)[:-keep]:
        if found is None or path != found[0]:
            gone = path.with_name(f".{path.name}.part")  # never a half of one under its own name
            with suppress(OSError):
                path.rename(gone)
    for path in folder.glob(".step-*.part"):
        shutil.rmtree(path, ignore_errors=True)


def _replace(aside: Path, place: Path) -> None:
    """Rename the folder into its place, and make that last."""
    shutil.rmtree(place, ignore_errors=True)
    aside.rename(place)
    with suppress(OSError):  # some network folders cannot sync
        handle = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _all_or_none(place: Path, aside: Path) -> Iterator[None]:
    """A step of saving: where one process cannot do it, all stop, and nothing of it stays.

    Raises:
        OutputError: it failed, in any process.
    """
    problem: Exception | None = None
    try:
        yield
    except (OSError, OutputError) as error:
        problem = error
    failed = torch.tensor(float(problem is not None))
    if dist.is_initialized():
        dist.all_reduce(failed, dist.ReduceOp.MAX)
    if not failed:
        return
    if process_index() == 0:
        shutil.rmtree(aside, ignore_errors=True)
    cause = problem.__cause__ if isinstance(problem, OutputError) else problem
    number = getattr(cause, "errno", None)
    full = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    reason = getattr(cause, "strerror", None) or "another process says why"
    cure = "free some space" if full else "make its folder writable"
    raise OutputError(
        f"{place}: the checkpoint cannot be written ({'no room left' if full else reason})",
        cure=f"{cure} and go on from the one before with --resume",
    ) from problem


@contextmanager
def _whole(checkpoint: Path) -> Iterator[None]:
    """Any failure to read a checkpoint, as a TrainingError."""
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        raise _damaged(checkpoint, error) from error


def _damaged(checkpoint: Path, error: BaseException) -> TrainingError:
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    return TrainingError(
        f"{checkpoint}: no whole checkpoint ({reason})",
        cure="remove it and --resume from the one before",
        code="training-checkpoint",
    )


def _whole_shape(value: Tensor | Rows) -> tuple[int, ...]:
    if isinstance(value, Rows):
        return (value.total, *value.tensor.shape[1:])
    return tuple(value.shape)
