"""Checkpoints: all of a run at one step, in a folder that appears whole or not at all.

::

    checkpoints/
      step-00000400/
        position.json    step, epoch and what else is no tensor
        index.json       where each tensor lies (checkpoint_storage.py)
        __0_0.distcp     the tensors, a file a process
      best.json          which of them verified best

A checkpoint is written beside its place, synced and renamed: a folder without a leading dot is
whole. The last ones and the best stay.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from faceverify.errors import OutputError, TrainingError
from faceverify.files import atomic_write
from faceverify.training.checkpoint_storage import (
    JsonReader,
    JsonWriter,
    Rows,
    RowsLoadPlanner,
    RowsSavePlanner,
    Tensors,
    index_of,
    tensors_of,
)

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
    first = _rank() == 0
    with _one_line(place):
        if first:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
        _barrier()
        try:
            _save_tensors(aside, tensors)
            if first:
                text = json.dumps(asdict(position), indent=1)
                atomic_write(aside / POSITION, text.encode())
                _replace(aside, place)
        except BaseException:
            if first:
                shutil.rmtree(aside, ignore_errors=True)
            raise
    _barrier()
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
    try:
        metadata = index_of(checkpoint)
    except (OSError, ValueError) as error:
        raise _damaged(checkpoint, error) from error
    found = {}
    for name, stored in tensors_of(metadata).items():
        rows = sum(chunk.sizes[0] if chunk.sizes else 1 for chunk in stored.chunks)
        if rows != (stored.size[0] if stored.size else 1):
            raise _damaged(checkpoint, ValueError(f"{name} is not all there"))
        found[name] = (stored.size, stored.properties.dtype)
    return found


def load_tensors(checkpoint: Path, tensors: Tensors, *, together: bool = True) -> None:
    """Fill tensors in place, on as many processes as there are now.

    Args:
        checkpoint: its folder.
        tensors: to fill.
        together: whether all processes call this; else one alone may.

    Raises:
        TrainingError: the checkpoint is of another architecture or head, or damaged.
    """
    stored = stored_tensors(checkpoint)
    missing = [name for name in tensors if name not in stored]
    other = [
        f"{name} {tuple(stored[name][0])} instead of {_whole_shape(value)}"
        for name, value in tensors.items()
        if name in stored and tuple(stored[name][0]) != _whole_shape(value)
    ]
    if missing or other:
        shown = [f"no {name}" for name in missing] + other
        more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
        raise TrainingError(
            f"{checkpoint}: of another backbone or head: {', '.join(shown[:SHOWN])}{more}",
            cure="resume with the configuration that the run began with",
            code="training-checkpoint",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is one process only
            load(tensors, storage_reader=JsonReader(checkpoint), planner=RowsLoadPlanner())
    except (CheckpointException, OSError, ValueError, RuntimeError) as error:
        raise _damaged(checkpoint, _cause(error)) from error


def read_weights(checkpoint: Path, part: str) -> dict[str, Tensor]:
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
    load_tensors(checkpoint, dict(weights), together=False)
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


def _save_tensors(folder: Path, tensors: Tensors) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is one process only
        save(tensors, storage_writer=JsonWriter(folder), planner=RowsSavePlanner())


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
def _one_line(place: Path) -> Iterator[None]:
    """Any failure to write, of whichever process, as an OutputError."""
    try:
        yield
    except OutputError as error:
        raise _not_written(place, error.__cause__ or error) from error
    except (CheckpointException, OSError, RuntimeError) as error:
        raise _not_written(place, _cause(error)) from error


def _not_written(place: Path, cause: BaseException) -> OutputError:
    full = getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    reason = getattr(cause, "strerror", None) or str(cause).partition("\n")[0]
    if "unexpected pos" in reason or "file write failed" in reason:  # torch's words for it
        full, reason = True, "no room left"
    cure = "free some space" if full else "make its folder writable"
    return OutputError(
        f"{place}: the checkpoint cannot be written ({reason})",
        cure=f"{cure} and go on from the one before with --resume",
    )


def _cause(error: BaseException) -> BaseException:
    """Of a failure that torch wrapped: what happened in the first process that failed."""
    if isinstance(error, CheckpointException) and error.failures:
        return next(iter(error.failures.values()))[0]
    return error


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


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def _barrier() -> None:
    if dist.is_initialized():
        dist.barrier()
