"""The tensors of a run in safetensors files, one file for each process.

A safetensors file is a JSON header (name, type, shape and place of each tensor) and then the
numbers: reading one runs nothing. A tensor is either the same in all processes, and lies in the
file of the first one, or it is cut by rows: then each file has the :class:`Rows` of its process,
and says in its header where they belong. So a run on another number of processes reads the rows it
needs, from whichever files have them.
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
    """This process's rows of a tensor that is cut over all processes.

    Args:
        tensor: rows ``start`` to ``start + len(tensor)``.
        start: of the first one in the whole.
        total: rows of the whole.
    """

    tensor: Tensor
    start: int
    total: int


Tensors = dict[str, "Tensor | Rows"]


class Piece(NamedTuple):
    """Rows of a stored tensor that lie in one file.

    Attributes:
        start: number of the first one in the whole.
        total: rows of the whole.
        rows: safetensors' slice: ``rows[a:b]`` reads some of them.
    """

    start: int
    total: int
    rows: Any


class Stored(NamedTuple):
    """A tensor in the files of a checkpoint.

    Attributes:
        size: of the whole.
        dtype: of its numbers.
        pieces: that make it up, in the order of their rows.
    """

    size: torch.Size
    dtype: torch.dtype
    pieces: list[Piece]


def write_part(folder: Path, tensors: Tensors, *, rank: int, world: int) -> None:
    """Write this process's file: its rows and, in the first process, what all hold alike.

    Args:
        folder: where the files of all processes belong.
        tensors: all that a checkpoint holds, as this process has it.
        rank: number of this process.
        world: how many there are.

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
        save_file(_separate(mine), path, metadata=places)
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
    """The tensors on the CPU, without gaps; no two in the same memory, as tied weights are."""
    separate, seen = {}, set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        place = plain.untyped_storage().data_ptr()
        separate[name] = plain.clone() if place in seen else plain
        seen.add(place)
    return separate


@contextmanager
def opened_parts(folder: Path) -> Iterator[dict[str, Stored]]:
    """Open the files of a folder: all that they hold, by name; no number is read yet.

    Raises:
        OSError, SafetensorError: a file cannot be read, or is cut short.
        ValueError: a file is missing, or they do not belong together.
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
            for name in part.keys():  # noqa: SIM118  it is no mapping
                rows = part.get_slice(name)
                start, total = map(int, cut.get(name, f"0 {_length(rows)}").split())
                pieces.setdefault(name, []).append(Piece(start, total, rows))
        yield {name: _joined(name, found) for name, found in pieces.items()}


def _joined(name: str, pieces: list[Piece]) -> Stored:
    """Check that pieces make up one tensor."""
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
    """Read a tensor, or the rows of it that this process has, in place.

    Args:
        value: of the shape of what is stored.
        stored: where it lies.
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
