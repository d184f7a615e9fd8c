"""Text tables read line by line: tab-separated, comma-separated, or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

Value = list[str] | dict[str, Any]  # the cells of a line, or its JSON object
Split = Callable[[str], Value]


class TableLine(NamedTuple):
    """A line of a table: number from 1, text, cells or JSON object, and error if unreadable."""

    number: int
    text: str
    value: Value
    error: str = ""


def table_lines(
    lines: Iterable[tuple[int, str]], split: Split | None = None
) -> Iterator[TableLine]:
    """Lines of a table, split into values; blank ones are skipped.

    Args:
        lines: numbers and texts.
        split: of a line; None to choose it by the first line.
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
    """Function that splits the lines of a table, by its first line."""
    if line.lstrip().startswith("{"):
        return json_object
    return tab_cells if "\t" in line else comma_cells


def tab_cells(line: str) -> list[str]:
    r"""Cells of a tab-separated line, without quoting.

    >>> tab_cells('5" screen.jpg\tb.jpg')
    ['5" screen.jpg', 'b.jpg']
    """
    return line.split("\t")


def comma_cells(line: str, separator: str = ",") -> list[str]:
    """Cells of a line of CSV, which may be quoted; csv.Error for a wrong quote.

    >>> comma_cells('a.jpg,"b, c.jpg"')
    ['a.jpg', 'b, c.jpg']
    """
    return next(csv.reader([line], delimiter=separator, strict=True))


def json_object(line: str) -> dict[str, Any]:
    """Object of a JSON line; ValueError for anything else."""
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object")
    return value


def decoded(stream: BinaryIO) -> Iterator[str]:
    """Lines of UTF-8 text, with or without a byte order mark; other bytes as surrogates."""
    for number, line in enumerate(stream):
        text = line.decode("utf-8", "surrogateescape")
        yield (text.removeprefix("\ufeff") if number == 0 else text).rstrip("\r\n")


def quoted_records(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Records of a CSV file: lines that a quoted cell spans joined, numbered by the first."""
    start, record = 0, ""
    for number, line in lines:
        start, record = (start, f"{record}\n{line}") if record else (number, line)
        if record.count('"') % 2 == 0:
            yield start, record
            record = ""
    if record:
        yield start, record
