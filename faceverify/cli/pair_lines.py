"""Lists of pairs, read line by line as they come: of photos, or of photos and names of people.

Three forms, told apart by the first line: tab-separated, comma-separated (quoted as CSV is), and
JSON lines. The first two columns, or the members of their names, make the pair; all others are
carried through unchanged. A first line whose first two cells are the two names is a header.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from faceverify.errors import PairListError

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
        pair: what the two columns are called in a header and in JSON.

    Raises:
        PairListError: the file cannot be read. A line that is no pair is no reason to stop: it
            comes with its error.
    """
    if source == "-":
        yield from parse_pair_lines(decoded(sys.stdin.buffer), "standard input", pair)
        return
    try:
        with open(source, "rb") as stream:
            yield from parse_pair_lines(decoded(stream), source, pair)
    except OSError as error:
        raise PairListError(f"{source}: cannot be read ({error.strerror})") from error


def decoded(stream: BinaryIO) -> Iterator[str]:
    """Lines as text: UTF-8 with or without a byte order mark; other bytes survive in file names."""
    for number, line in enumerate(stream):
        text = line.decode("utf-8", "surrogateescape")
        yield (text.removeprefix("\ufeff") if number == 0 else text).rstrip("\r\n")


def parse_pair_lines(lines: Iterable[str], name: str, pair: Columns = PHOTOS) -> Iterator[PairLine]:
    """Split lines into pairs; empty lines are passed over."""
    split, names = None, None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        split = split or splitter(line)
        try:
            cells = split(line)
        except (ValueError, csv.Error, RecursionError) as error:
            yield broken(number, line, f"{name}:{number}: {error}")
            continue
        if isinstance(cells, dict):
            yield from_object(number, line, cells, name, pair)
        elif names is None and tuple(cells[:2]) == pair:
            names = cells
        elif len(cells) < 2 or not cells[0] or not cells[1]:
            wanted = "two photos" if pair == PHOTOS else " and ".join(pair)
            yield broken(
                number, line, f"{name}:{number}: found {len(cells)} column(s), expected {wanted}"
            )
        else:
            yield PairLine(number, cells[0], cells[1], cells, named_columns(cells, names))


def splitter(first: str) -> Any:
    """How to split the lines of a list that begins with this one."""
    if first.lstrip().startswith("{"):
        return json_object
    if "\t" in first:
        return lambda line: line.split("\t")
    return lambda line: next(csv.reader([line], strict=True))


def json_object(line: str) -> dict[str, Any]:
    """A JSON line's object; ValueError for anything else."""
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object")
    return value


def named_columns(cells: list[str], names: list[str] | None) -> dict[str, Any]:
    """The columns behind the pair: by the header's names, or in a list where there is none."""
    extra = cells[2:]
    if not extra:
        return {}
    if names is None:
        return {"columns": extra}
    return dict(zip(names[2:], extra, strict=False))


def from_object(
    number: int, line: str, cells: dict[str, Any], name: str, pair: Columns
) -> PairLine:
    """A pair from a JSON line; its other members are carried through."""
    a, b = (cells.pop(column, None) for column in pair)
    if not (isinstance(a, str) and isinstance(b, str) and a and b):
        wanted = " and ".join(f'"{column}"' for column in pair)
        return broken(number, line, f"{name}:{number}: expected an object with texts {wanted}")
    return PairLine(number, a, b, [a, b, *map(str, cells.values())], cells)


def broken(number: int, line: str, message: str) -> PairLine:
    """A line that is no pair."""
    return PairLine(number, "", "", [line], error=PairListError(message))
