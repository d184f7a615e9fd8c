"""Lists of pairs, read line by line as they come: of photos, or of photos and names of people.

A table of any form (see ``table_lines``): the first two columns, or the members of their names,
make the pair; all others are carried through unchanged. A line whose first two cells are the two
names is a header.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from faceverify.errors import PairListError
from faceverify.runtime.table_lines import TableLine, decoded, table_lines

Columns = tuple[str, str]  # names of the two that make the pair

PHOTOS: Columns = ("a", "b")
CLAIMS: Columns = ("photo", "name")
PEOPLE: Columns = ("name", "photo")


@dataclass(frozen=True)
class PairLine:
    """One line of a list.

    Attributes:
        number: from 1.
        a, b: the pair.
        columns: all of the line's columns, to be printed before the decision.
        named: the columns behind the pair, by name, for JSON.
        error: why the line is no pair.
    """

    number: int
    a: str
    b: str
    columns: list[str]
    named: dict[str, Any] = field(default_factory=dict)
    error: PairListError | None = None

    @property
    def question(self) -> tuple[str, str]:
        """The pair alone."""
        return self.a, self.b


def read_pair_lines(source: str, pair: Columns = PHOTOS) -> Iterator[PairLine]:
    """Read a list from a file, or from standard input for ``-``.

    Args:
        source: the file.
        pair: what the two columns are called in a header and in JSON.

    Raises:
        PairListError: the file cannot be read. A line that is no pair is no reason to stop: it
            comes with its error.
    """
    if source == "-":
        yield from pair_lines(sys.stdin.buffer, "standard input", pair)
        return
    try:
        with open(source, "rb") as stream:
            yield from pair_lines(stream, source, pair)
    except OSError as error:
        raise PairListError(f"{source}: cannot be read ({error.strerror})") from error


def pair_lines(stream: BinaryIO, name: str, pair: Columns) -> Iterator[PairLine]:
    """Read a stream as pairs."""
    header: list[str] | None = None
    for line in table_lines(enumerate(decoded(stream), start=1)):
        if header is None and isinstance(line.value, list) and tuple(line.value[:2]) == pair:
            header = line.value
        else:
            yield pair_line(line, header, name, pair)


def pair_line(line: TableLine, header: list[str] | None, name: str, pair: Columns) -> PairLine:
    """The pair of a line, or why it is none."""
    reason = line.error
    if isinstance(line.value, dict):
        others = dict(line.value)
        a, b = (others.pop(column, None) for column in pair)
        if isinstance(a, str) and isinstance(b, str) and a and b:
            return PairLine(line.number, a, b, [a, b, *map(str, others.values())], others)
        wanted = " and ".join(f'"{column}"' for column in pair)
        reason = f"expected an object with texts {wanted}"
    elif not reason:
        cells, extra = line.value, line.value[2:]
        if len(cells) > 1 and cells[0] and cells[1]:
            named: dict[str, Any] = {"columns": extra} if extra else {}
            if header is not None:
                named = dict(zip(header[2:], extra, strict=False))
            return PairLine(line.number, cells[0], cells[1], cells, named)
        wanted = "two photos" if pair == PHOTOS else " and ".join(pair)
        reason = f"found {len(cells)} column(s), expected {wanted}"
    error = PairListError(f"{name}:{line.number}: {reason}")
    return PairLine(line.number, "", "", [line.text], error=error)
