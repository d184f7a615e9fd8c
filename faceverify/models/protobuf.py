"""Protocol-buffer messages as flat fields: enough to look into an ONNX file without its package.

A message is a row of fields; each is a tag (field number and wire type) and a value, and the value
of wire type 2 may be a message again: https://protobuf.dev/programming-guides/encoding/. Nothing
is copied: positions into the same bytes go from hand to hand, however large the weights are.
"""

from __future__ import annotations

from collections.abc import Iterator

MOST_FIELDS = 1_000_000  # of one message; real graphs have thousands. A second's work at most.


def fields(
    data: bytes, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, int, int, int]]:
    """Go through the fields of a message.

    Args:
        data: what the message lies in.
        start: where it starts there.
        end: where it ends there; the end of the data by default.

    Yields:
        Each field's number, where it starts, and where its value starts and ends.

    Raises:
        ValueError, IndexError: these bytes are no message.
    """
    at, end = start, len(data) if end is None else end
    for _ in range(MOST_FIELDS):
        if at >= end:
            return
        first = at
        tag, at = read_varint(data, at)
        match tag & 7:
            case 0:
                value = at
                _, at = read_varint(data, at)
            case 1:
                value, at = at, at + 8
            case 2:
                length, value = read_varint(data, at)
                at = value + length
            case 5:
                value, at = at, at + 4
            case wire:
                raise ValueError(f"wire type {wire}")
        if at > end:
            raise ValueError("a field reaches beyond its message")
        yield tag >> 3, first, value, at
    raise ValueError(f"more than {MOST_FIELDS} fields")


def values(data: bytes, number: int, start: int = 0, end: int | None = None) -> Iterator[slice]:
    """Go through the values of one repeated field of a message; errors as :func:`fields`."""
    for found, _, value_start, value_end in fields(data, start, end):
        if found == number:
            yield slice(value_start, value_end)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a base-128 integer; return it and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("an integer of more than 64 bits")


def write_varint(value: int) -> bytes:
    """Write a base-128 integer."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write_field(number: int, value: bytes) -> bytes:
    """Write a field of wire type 2: text, bytes or a message."""
    return write_varint(number << 3 | 2) + write_varint(len(value)) + value
