"""Read the pickle of a verification pack without running anything that it names.

A pickle is a program that may import and call any name. Two lists bound this one.

Instructions: ``pickletools`` takes the file apart without running it, and only those that make
lists, tuples, bytes, texts, booleans and integers, and those that name and call, are admitted. So
nothing is hashed (a set of a tuple of 2^100 leaves fits in 500 bytes and takes forever), no object
comes out of the extension registry (whose cache ``find_class`` is not asked about), no length
exceeds the file, and no memo index the instructions before it (the unpickler makes room up to it:
2 GB for 7 bytes).

Names: ``find_class`` imports nothing. It knows those of numpy's own pickles and gives for each a
function of this file, which checks types and sizes before it makes anything. Nothing else that the
program can hold may be called. A state is set on ``_Dtype`` and ``PickledArray`` alone, by methods
that check it: on anything else it would have to be a dict, which no instruction makes.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import PairListError

ADMITTED = {
    "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE",
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4",
    "STRING", "BINSTRING", "SHORT_BINSTRING",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
    "EMPTY_LIST", "LIST", "APPEND", "APPENDS",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET",
    "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
}  # fmt: skip
MOST = 10_000_000  # instructions: a photo takes about twenty, each at most 80 bytes of memory
LATIN_1 = ("latin1", "latin-1")
PLAIN_NUMBERS = ("b1", "u1", "i1", "i2", "i4", "i8")  # images and labels; never objects
BYTE_ORDERS: dict[object, Literal["<", ">", "|"]] = {
    "<": "<", ">": ">", "|": "|", b"<": "<", b">": ">", b"|": "|"
}  # fmt: skip


class Refused(Exception):  # noqa: N818
    """What was found that a pack does not need."""


def read_pickle(data: bytes, source: str) -> Any:
    """Return the value of a pickle of lists, tuples, bytes, texts, booleans, integers and arrays.

    Texts of Python 2 come back as bytes; an array as a :class:`PickledArray`.

    Raises:
        PairListError: anything else is in it (named), or it is damaged.
    """
    try:
        check_instructions(data)
        return _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except Refused as refusal:
        raise PairListError(
            f"{source}: found {refusal}, expected only lists, tuples, bytes, booleans, integers "
            "and numpy arrays of them",
            cure="it may be hostile: nothing of it was run; use a pack from its publisher",
            code="pack-refused",
        ) from refusal
    except (
        pickle.UnpicklingError, AttributeError, EOFError, IndexError, KeyError, MemoryError,
        OverflowError, TypeError, ValueError,
    ) as error:  # fmt: skip
        raise PairListError(
            f"{source}: found a damaged or truncated pickle, expected a verification pack",
            cure="copy the file again",
        ) from error


def check_instructions(data: bytes) -> None:
    """Go through all instructions without carrying out any.

    Raises:
        Refused: one is not admitted.
        ValueError: the pickle is damaged, or ends early.
    """
    for number, (instruction, argument, _) in enumerate(pickletools.genops(data)):
        if instruction.name not in ADMITTED or number == MOST:
            raise Refused(f"the pickle instruction {instruction.name}")
        if instruction.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            assert isinstance(argument, int)
            if not 0 <= argument <= number:
                raise ValueError(f"memo index {argument} in instruction {number}")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in NAMES:
            raise Refused(f"the name {f'{module}.{name}'[:80]!r}")
        return NAMES[module, name]


class _Dtype:
    """Stands for a numpy dtype; its byte order comes later, as its state."""

    def __init__(self, name: object) -> None:
        text = name.decode("latin-1") if isinstance(name, bytes) else name
        if not isinstance(text, str) or text not in PLAIN_NUMBERS:
            shown = repr(text[:20]) if isinstance(text, str) else "that is no text"
            raise Refused(f"the numpy dtype {shown}")
        self.value = np.dtype(text)

    def __setstate__(self, state: object) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if not isinstance(order, (str, bytes)) or order not in BYTE_ORDERS:
            raise Refused("a state of a dtype that no pack has")
        self.value = self.value.newbyteorder(BYTE_ORDERS[order])


class PickledArray:
    """Stands for a numpy array or number; an array's value may come later, as its state."""

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def __setstate__(self, state: object) -> None:
        if self.value is not None or not isinstance(state, tuple) or len(state) != 5:
            raise Refused("a state set on something that is no array")
        _, shape, dtype, fortran, data = state
        self.value = _numbers(shape, dtype, data, "F" if fortran else "C")


def _numbers(shape: object, dtype: object, data: object, order: object) -> NDArray[Any]:
    """View bytes that are there as an array: no shape asks for memory that the file lacks."""
    if not isinstance(dtype, _Dtype) or not isinstance(data, (bytes, bytearray)):
        raise Refused("a numpy array that is not made of bytes")
    if order not in ("C", "F") or not isinstance(shape, tuple) or len(shape) > 4:
        raise TypeError
    if not all(isinstance(size, int) and 0 <= size <= len(data) for size in shape):
        raise ValueError
    if math.prod(shape) * dtype.value.itemsize != len(data):
        raise ValueError
    flat = np.frombuffer(bytes(data), dtype.value)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _reconstruct(kind: object, *_: object) -> PickledArray:
    if kind is not _ndarray:
        raise Refused("a call of _reconstruct that no pack makes")
    return PickledArray()


def _ndarray(*_: object) -> None:
    """Named by arrays, called by none."""
    raise Refused("a call of ndarray that no pack makes")


def _dtype(name: object, *_: object) -> _Dtype:
    return _Dtype(name)


def _scalar(dtype: object, data: object) -> PickledArray:
    return PickledArray(_numbers((), dtype, data, "C")[()])


def _from_buffer(data: object, dtype: object, shape: object, order: object) -> PickledArray:
    return PickledArray(_numbers(shape, dtype, data, order))


def _encode(text: object, codec: object) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if not isinstance(text, str) or not isinstance(codec, str) or codec not in LATIN_1:
        raise Refused("a call of encode that no pack makes")
    return text.encode("latin-1")


NAMES: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy", "ndarray"): _ndarray,
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encode,
}
