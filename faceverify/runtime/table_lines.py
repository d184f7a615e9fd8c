"""Tables of text, line by line as they come: tab-separated, comma-separated, or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

Value = list[str] | dict[str, Any]  # the cells of a line, or its JSON object
Split = Callable[[str], Value]


class TableLine(NamedTuple):
    """One line of a table: its number, from 1, as it stands, what it holds, or why nothing."""

    number: int
    text: str
    value: Value
    error: str = ""


def table_lines(
    lines: Iterable[tuple[int, str]], split: Split | None = None
) -> Iterator[TableLine]:
    """Split the lines of a table; blank ones are passed over.

    Args:
        lines: numbers and texts.
        split: how; None to tell it from the first line.
    """
    for number, text in lines:
        if not text.strip():
            continue
        split = split or split_of(text)
        try:
            yield TableLine(number, text, split(text))
        except (ValueError, csv.Error, RecursionError) as error:
            yield TableLine(number, text, [], str(error))


def split_of(line: str) -> Split:
    """How to split the lines of a table that begins with this one."""
    if line.lstrip().startswith("{"):
        return json_object
    return tab_cells if "\t" in line else comma_cells


def tab_cells(line: str) -> list[str]:
    r"""Cells between tabs, as they are.

    >>> tab_cells('5" screen.jpg\tb.jpg')
    ['5" screen.jpg', 'b.jpg']
    """
    return line.split("\t")


def comma_cells(line: str, separator: str = ",") -> list[str]:
    """Cells of a line of CSV, which may be quoted; csv.Error where a quote is wrong.

    >>> comma_cells('a.jpg,"b, c.jpg"')
    ['a.jpg', 'b, c.jpg']
    """
    return next(csv.reader([line], delimiter=separator, strict=True))


def json_object(line: str) -> dict[str, Any]:
    """A JSON line's object; ValueError for anything else."""
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object")
    return value


def decoded(stream: BinaryIO) -> Iterator[str]:
    """Lines as text: UTF-8 with or without a byte order mark; other bytes survive in file names."""
    for number, line in enumerate(stream):
        text = line.decode("utf-8", "surrogateescape")
        yield (text.removeprefix("\ufeff") if number == 0 else text).rstrip("\r\n")


def quoted_records(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Join lines that a quoted cell spans; a record has the number of its first line."""
    start, record = 0, ""
    for number, line in lines:
        start, record = (start, f"{record}\n{line}") if record else (number, line)
        if record.count('"') % 2 == 0:
            yield start, record
            record = ""
    if record:
        yield start, record
