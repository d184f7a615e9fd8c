"""Sharded storage of tensors: one safetensors file for each process.

A safetensors file is a JSON header (name, dtype, shape and offset of each tensor) and then the
numbers: reading one runs no code. A tensor that is the same in all processes is in the file of the
first one. A tensor sharded by rows is in all files: each has the :class:`Rows` of its process, with
their position in its header. So a run on another number of processes can read the rows it needs
from any of the files.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

PART = "part-{:05d}-of-{:05d}.safetensors"


@dataclass(frozen=True)
class Rows:
    """Shard of a tensor: the consecutive rows that this process holds.

    Args:
        tensor: rows ``start`` to ``start + len(tensor)``.
        start: index of the first row in the whole tensor.
        total: rows of the whole tensor.
    """

    tensor: Tensor
    start: int
    total: int


Tensors = dict[str, "Tensor | Rows"]


class Piece(NamedTuple):
    """Rows of a stored tensor in one file.

    Attributes:
        start: index of the first row in the whole tensor.
        total: rows of the whole tensor.
        rows: safetensors' slice: ``rows[a:b]`` reads some of them.
    """

    start: int
    total: int
    rows: Any


class Stored(NamedTuple):
    """A tensor in the files of a checkpoint.

    Attributes:
        size: shape of the whole tensor.
        dtype: of its numbers.
        pieces: its rows in each file, in order.
    """

    size: torch.Size
    dtype: torch.dtype
    pieces: list[Piece]


def write_part(folder: Path, tensors: Tensors, *, rank: int, world: int) -> None:
    """Write the file of this process: its shards and, in the first process, unsharded tensors.

    Args:
        folder: of the files of all processes.
        tensors: the tensors of the checkpoint, as this process has them.
        rank: number of this process, from 0.
        world: number of processes.

    Raises:
        OSError: it cannot be written.
    """
    cut = {name: value for name, value in tensors.items() if isinstance(value, Rows)}
    alike = {name: value for name, value in tensors.items() if isinstance(value, Tensor)}
    mine = {name: value.tensor for name, value in cut.items()} | (alike if rank == 0 else {})
    places = {name: f"{value.start} {value.total}" for name, value in cut.items()}
    path = folder / PART.format(rank, world)
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(_separate(mine), path, metadata=places or None)  # {} cannot be read again
    except SafetensorError as error:
        found = re.search(r"(?:os error|code:) (\d+)", str(error))
        number = int(found[1]) if found else errno.EIO
        raise OSError(number, os.strerror(number)) from error
    path.chmod(mode)  # safetensors lets only the owner read what it writes
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors on the CPU; tied weights, which share memory, become copies."""
    separate, seen = {}, set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        place = plain.untyped_storage().data_ptr()
        separate[name] = plain.clone() if place in seen else plain
        seen.add(place)
    return separate


@contextmanager
def opened_parts(folder: Path) -> Iterator[dict[str, Stored]]:
    """Open the files of a folder: their tensors by name, of which no number is read yet.

    Raises:
        OSError, SafetensorError: a file cannot be read, or is truncated.
        ValueError: a file is missing, or the files do not belong together.
    """
    paths = sorted(folder.glob("part-*.safetensors"))
    names = [path.name for path in paths]
    if not names:
        raise ValueError("no part-*.safetensors in it")
    if names != [PART.format(rank, len(names)) for rank in range(len(names))]:
        raise ValueError(f"not all of its parts are there, only {', '.join(names)}")
    with ExitStack() as held:
        pieces: dict[str, list[Piece]] = {}
        for path in paths:
            part = held.enter_context(safe_open(path, "pt"))
            cut = part.metadata() or {}
            for name in part.keys():  # noqa: SIM118  not a mapping
                rows = part.get_slice(name)
                start, total = map(int, cut.get(name, f"0 {_length(rows)}").split())
                pieces.setdefault(name, []).append(Piece(start, total, rows))
        yield {name: _joined(name, found) for name, found in pieces.items()}


def _joined(name: str, pieces: list[Piece]) -> Stored:
    """Check that pieces cover one tensor without gap or overlap."""
    pieces.sort(key=lambda piece: piece.start)
    *starts, total = accumulate((_length(piece.rows) for piece in pieces), initial=0)
    kinds = {(one.total, one.rows.get_dtype(), *one.rows.get_shape()[1:]) for one in pieces}
    if starts != [piece.start for piece in pieces] or pieces[0].total != total or len(kinds) > 1:
        raise ValueError(f"{name} is not all there, or twice")
    rows = pieces[0].rows
    shape = rows.get_shape()
    size = torch.Size([total, *shape[1:]] if shape else [])
    return Stored(size, (rows[:0] if shape else rows[...]).dtype, pieces)


def _length(rows: Any) -> int:
    shape = rows.get_shape()
    return int(shape[0]) if shape else 1


def fill(value: Tensor | Rows, stored: Stored) -> None:
    """Read a tensor, or this process's rows of it, in place.

    Args:
        value: to fill; of the stored shape.
        stored: the tensor in the files.
    """
    begin, tensor = (value.start, value.tensor) if isinstance(value, Rows) else (0, value)
    tensor = tensor.detach()
    for start, _, rows in stored.pieces:
        if not tensor.dim():
            tensor.copy_(rows[...])
            continue
        first = max(begin, start)
        last = min(begin + len(tensor), start + _length(rows))
        if first < last:
            tensor[first - begin : last - begin] = rows[first - start : last - start]
