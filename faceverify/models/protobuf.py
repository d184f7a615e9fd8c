"""Protocol-buffer wire format: enough to read an ONNX file without the ``onnx`` package.

A message is a sequence of fields, each a tag (field number and wire type) and a value; a value of
wire type 2 may be a message: https://protobuf.dev/programming-guides/encoding/. Functions return
positions in the bytes, so that large weights are not copied.
"""

from __future__ import annotations

from collections.abc import Iterator

MOST_FIELDS = 1_000_000  # of a message; real graphs have thousands. Bounds the time to a second.


def fields(
    data: bytes, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, int, int, int]]:
    """Fields of a message.

    Args:
        data: bytes that contain the message.
        start, end: its range; to the end of the data by default.

    Yields:
        Number of a field, its start, and the start and end of its value.

    Raises:
        ValueError, IndexError: not a valid message.
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
    """Ranges of the values of a repeated field of a message; errors as :func:`fields`."""
    for found, _, value_start, value_end in fields(data, start, end):
        if found == number:
            yield slice(value_start, value_end)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A base-128 integer, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("an integer of more than 64 bits")


def write_varint(value: int) -> bytes:
    """A base-128 integer, serialised."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write_field(number: int, value: bytes) -> bytes:
    """A field of wire type 2 (text, bytes or a message), serialised."""
    return write_varint(number << 3 | 2) + write_varint(len(value)) + value
