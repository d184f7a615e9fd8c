"""The names that numpy's pickles hold, and what they stand for here: arrays of plain numbers.

Nothing is imported or called by name. A name becomes a token; a call of a token is a case of
``call`` that checks types and sizes before it makes anything.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

PLAIN_NUMBERS = ("b1", "u1", "i1", "i2", "i4", "i8")  # images and labels; never objects


BYTE_ORDERS: dict[object, Literal["<", ">", "|"]] = {
    "<": "<", ">": ">", "|": "|", b"<": "<", b">": ">", b"|": "|"
}  # fmt: skip


class Refused(Exception):  # noqa: N818
    """What was found that a pack does not need."""


class Token(str):
    """A name out of a pickle that stands for one of the cases of ``call``; never imported."""

    __slots__ = ()


class _Dtype:
    """A numpy dtype that is being built."""

    def __init__(self, name: object) -> None:
        text = name.decode("latin-1") if isinstance(name, bytes) else name
        if not isinstance(text, str) or text not in PLAIN_NUMBERS:
            shown = repr(text[:20]) if isinstance(text, str) else "that is no text"
            raise Refused(f"the numpy dtype {shown}")
        self.value = np.dtype(text)


class PickledArray:
    """A numpy array of a pickle; its value comes with a later instruction."""

    value: NDArray[Any] | None = None


_TOKENS = {
    **{
        f"{module} {name}": Token(name)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for name in ("_reconstruct", "scalar")
    },
    **{
        f"{module} _frombuffer": Token("_frombuffer")
        for module in ("numpy.core.numeric", "numpy._core.numeric")
    },
    "numpy ndarray": Token("ndarray"),
    "numpy dtype": Token("dtype"),
    "_codecs encode": Token("encode"),  # how Python 3 writes bytes for Python 2
}


def token(name: str) -> Token:
    """Return the token of ``module name``, or refuse it."""
    if name not in _TOKENS:
        raise Refused(f"the name {name.replace(' ', '.', 1)[:80]!r}")
    return _TOKENS[name]


def call(function: object, arguments: tuple[Any, ...]) -> object:
    """Do what numpy's own pickles ask for."""
    if not isinstance(function, Token) or not isinstance(arguments, tuple):
        raise Refused("a call of something that is no function")
    if function == "_reconstruct" and arguments[0] == "ndarray":
        return PickledArray()
    if function == "dtype":
        return _Dtype(arguments[0])
    if function == "scalar":
        return _numbers((), arguments[0], arguments[1], "C")[()]
    if function == "_frombuffer":
        data, dtype, shape, order = arguments
        return _numbers(shape, dtype, data, order)
    if function == "encode" and len(arguments) == 2 and arguments[1] in ("latin1", "latin-1"):
        return str.encode(arguments[0], "latin-1")
    raise Refused(f"a call of {function!s} that no pack makes")


def build(target: object, state: object) -> None:
    """Give an array or a dtype its state."""
    if not isinstance(state, tuple) or len(state) < 2:
        _refuse_state()
    order = state[1] if isinstance(state[1], (str, bytes)) else None
    if isinstance(target, _Dtype) and order in BYTE_ORDERS:
        target.value = target.value.newbyteorder(BYTE_ORDERS[order])
    elif isinstance(target, PickledArray) and target.value is None and len(state) == 5:
        _, shape, dtype, fortran, data = state
        target.value = _numbers(shape, dtype, data, "F" if fortran else "C")
    else:
        _refuse_state()


def _refuse_state() -> NoReturn:
    raise Refused("a state set on something that is no array")


def _numbers(shape: object, dtype: object, data: object, order: object) -> NDArray[Any]:
    """View bytes that are there as an array: no shape asks for memory that the file lacks."""
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes) or order not in ("C", "F"):
        raise Refused("a numpy array that is not made of bytes")
    if not isinstance(shape, tuple) or len(shape) > 4:
        raise TypeError
    if not all(isinstance(size, int) and 0 <= size <= len(data) for size in shape):
        raise ValueError
    if math.prod(shape) * dtype.value.itemsize != len(data):
        raise ValueError
    return np.frombuffer(data, dtype.value).reshape(shape, order="F" if order == "F" else "C")
