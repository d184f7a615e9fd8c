"""Text tables read line by line: tab-, comma- or semicolon-separated, or JSON lines.

Blank lines and comments, which begin with ``#``, are no rows.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

Value = list[str] | dict[str, Any]  # the cells of a line, or its JSON object
Split = Callable[[str], Value]


class TableLine(NamedTuple):
    """A line of a table: number from 1, text, cells or JSON object, and error if unreadable."""

    number: int
    text: str
    value: Value
    error: str = ""


def table_lines(lines: Iterable[tuple[int, str]], split: Split) -> Iterator[TableLine]:
    """Rows of a table, split into values.

    Args:
        lines: numbers and texts.
        split: of a line.
    """
    for number, text in lines:
        if is_row(text):
            yield table_line(number, text, split)


def table_line(number: int, text: str, split: Split) -> TableLine:
    """A row split into values, or why it cannot be."""
    try:
        return TableLine(number, text, split(text))
    except (ValueError, csv.Error, RecursionError) as error:
        return TableLine(number, text, [], str(error))


def is_row(text: str) -> bool:
    """Whether a line is neither blank nor a comment.

    >>> is_row("a,b"), is_row(" # a,b"), is_row("./#1.jpg,b")
    (True, False, True)
    """
    stripped = text.lstrip()
    return bool(stripped) and not stripped.startswith("#")


def split_of(line: str) -> Split:
    """Function that splits the lines of a table, by one of them."""
    if line.lstrip().startswith("{"):
        return json_object
    if "\t" in line:
        return tab_cells
    return comma_cells if "," in line or ";" not in line else semicolon_cells


def tab_cells(line: str) -> list[str]:
    r"""Cells of a tab-separated line; one in quotes loses them, another may hold any.

    >>> tab_cells('5" screen.jpg\t"b.jpg"'), tab_cells('a.jpg\t"b.jpg')
    (['5" screen.jpg', 'b.jpg'], ['a.jpg', '"b.jpg'])
    """
    try:
        return comma_cells(line, "\t")
    except csv.Error:
        return line.split("\t")


def comma_cells(line: str, separator: str = ",") -> list[str]:
    """Cells of a line of CSV, which may be quoted; csv.Error for a wrong quote.

    >>> comma_cells('a.jpg,"b, c.jpg"')
    ['a.jpg', 'b, c.jpg']
    """
    return next(csv.reader([line], delimiter=separator, strict=True))


semicolon_cells = partial(comma_cells, separator=";")  # CSV of Excel where numbers have a comma


def json_object(line: str) -> dict[str, Any]:
    """Object of a JSON line; ValueError for anything else."""
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object")
    return value


def quoted_records(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Records of a CSV file: lines that a quoted cell spans joined, numbered by the first."""
    start, record = 0, ""
    for number, line in lines:
        if not record and not is_row(line):
            continue
        start, record = (start, f"{record}\n{line}") if record else (number, line)
        if record.count('"') % 2 == 0:
            yield start, record
            record = ""
    if record:
        yield start, record
