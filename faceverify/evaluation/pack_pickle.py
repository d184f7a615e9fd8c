"""Read a pickle as data: a machine of the few instructions that verification packs are made of.

A pickle is a program, and ``pickle.load`` runs it. Here nothing runs it: ``pickletools`` splits it
into instructions, and this machine knows those that build lists, tuples, bytes, texts, booleans,
integers and numpy arrays of plain numbers. No instruction imports a module or calls what the pickle
names: what numpy's own pickles name is done by ``pickled_arrays``. Every other instruction and
every other name is refused, by name.

No value is printed, hashed or compared before its type is known: a few hundred bytes can hold a
tuple of 2^100 leaves.
"""

from __future__ import annotations

import pickletools
from typing import Any

from faceverify.errors import PairListError
from faceverify.evaluation.pickled_arrays import Refused, Token, build, call, token

_CONSTANTS = {
    "NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (),
}  # fmt: skip
_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8",
}  # fmt: skip
_TEXTS_OF_PYTHON_2 = {"STRING", "BINSTRING", "SHORT_BINSTRING"}
_SILENT = {"PROTO", "FRAME", "STOP"}
_MARK = Token("mark")


def read_pickle(data: bytes, source: str) -> Any:
    """Return the value of a pickle of lists, tuples, bytes, texts, booleans, integers and arrays.

    Texts of Python 2 come back as bytes, as with ``encoding="bytes"``.

    Raises:
        PairListError: anything else is in it (named), or it is damaged.
    """
    machine = _Machine()
    try:
        for instruction, argument, _ in pickletools.genops(data):
            machine.step(instruction.name, argument)
        if len(machine.stack) != 1:
            raise Refused("a pickle that ends with another than one value")
    except Refused as refusal:
        raise PairListError(
            f"{source}: found {refusal}, expected only lists, tuples, bytes, booleans, integers "
            "and numpy arrays of them",
            cure="it may be hostile: nothing of it was run; use a pack from its publisher",
            code="pack-refused",
        ) from refusal
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise PairListError(
            f"{source}: found a damaged or truncated pickle, expected a verification pack",
            cure="copy the file again",
        ) from error
    return machine.stack[0]


class _Machine:
    """The stack and the memo of a pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Carry out one instruction."""
        stack = self.stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _TEXTS_OF_PYTHON_2:
            stack.append(argument.encode("latin-1"))
        elif name == "BYTEARRAY8":
            stack.append(bytes(argument))
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            size = int(name[-1])
            if len(stack) < size:
                raise IndexError
            stack[-size:] = [tuple(stack[-size:])]
        elif name == "TUPLE":
            stack.append(tuple(self._since_mark()))
        elif name == "LIST":
            stack.append(self._since_mark())
        elif name == "APPEND":
            self._extend([stack.pop()])
        elif name == "APPENDS":
            self._extend(self._since_mark())
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "GLOBAL":
            stack.append(token(argument))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            if not isinstance(module, str) or not isinstance(attribute, str):
                raise TypeError
            stack.append(token(f"{module} {attribute}"))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(call(function, arguments))
        elif name == "BUILD":
            state = stack.pop()
            build(stack[-1], state)
        elif name not in _SILENT:
            raise Refused(f"the pickle instruction {name}")

    def _since_mark(self) -> list[Any]:
        """Take everything above the last mark off the stack, and the mark."""
        values: list[Any] = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _extend(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise TypeError
        self.stack[-1].extend(values)
