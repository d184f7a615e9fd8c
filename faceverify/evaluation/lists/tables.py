"""Pair lists as tables: CSV, TSV, JSON lines, and lines ``PATH PATH LABEL``.

A header names the columns; without one, each line is two photos and a label.
"""

from __future__ import annotations

import csv
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from faceverify.errors import PairListError
from faceverify.evaluation.lists.list_format import HEAD, ListFile, ListFormat
from faceverify.evaluation.lists.pair_cells import (
    ALIASES,
    columns_named,
    is_header,
    is_labelled,
    photo_cells,
    place_of,
    spaced_cells,
    split_of_photos,
)
from faceverify.evaluation.lists.pair_list import PairList, pair_list
from faceverify.evaluation.lists.rows import (
    Row,
    identity_of,
    integer,
    is_label,
    label,
    no_pairs,
    read_text_lines,
    wrong_line,
)
from faceverify.runtime.table_lines import (
    Value,
    is_row,
    json_object,
    quoted_records,
    tab_cells,
    table_lines,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

REQUIRED = ("first", "second", "same")
ROLES = (*REQUIRED, "first_identity", "second_identity", "fold")


def table(path: Path, group_column: str) -> Iterator[Row]:
    """Rows of a table; the lines below a header are separated as the header is.

    Raises:
        PairListError: a column is missing, a row has more or fewer fields than the header, or is
            no labelled pair where there is no header.
    """
    lines = read_text_lines(path)
    first = next((text for _, text in lines if is_row(text)), None)
    if first is None:
        raise no_pairs(str(path))
    split = split_of_photos(first)
    records = lines if split in (tab_cells, spaced_cells) else list(quoted_records(lines))
    rows = table_lines(records, split)
    header = next(rows)
    if not _is_headed(header.value):
        for line in table_lines(lines, photo_cells):
            yield _labelled_row(path, line.number, repr(line.text), line.value)
        return
    if header.error or not isinstance(header.value, list):
        raise wrong_line(path, header.number, header.error, "a header", "correct it")
    names = [name.strip() for name in header.value]
    columns = _columns(path, names, group_column, header.number)
    for line in rows:
        if line.error:
            raise wrong_line(path, line.number, line.error, "UTF-8 rows", "correct it")
        cells = list(line.value)
        if len(cells) != len(names):
            raise wrong_line(
                path,
                line.number,
                f"{len(cells)} fields",
                f"{len(names)} as in the header",
                "quote a field that holds the separator",
            )
        named = {role: cells[names.index(name)] for role, name in columns.items()}
        yield _row(path, line.number, named)


def json_lines(path: Path, group_column: str) -> Iterator[Row]:
    """Rows of a file with one JSON object a line, keys as the columns of a CSV."""
    for line in table_lines(read_text_lines(path), json_object):
        if line.error or not isinstance(line.value, dict):
            raise wrong_line(path, line.number, repr(line.text), "one JSON object", "correct it")
        named = {}
        for role, name in _columns(path, list(line.value), group_column, line.number).items():
            value = line.value[name]
            if isinstance(value, (str, int)):
                named[role] = str(value)
            elif value is not None or role in REQUIRED:
                found = f"{json.dumps(value)} in {name!r}"
                expected = "a text or a whole number"
                raise wrong_line(path, line.number, found, expected, "correct it")
        yield _row(path, line.number, named)


def _is_headed(cells: Value) -> bool:
    """Whether the first line of a table is a header, and be it a faulty one."""
    if not isinstance(cells, list) or is_header(cells):
        return True
    return not any(is_label(cell) for cell in (cells[:1] + cells[-1:])) or len(cells) < 3


def _columns(path: Path, names: list[str], group_column: str, line: int = 1) -> dict[str, str]:
    """Column of each role: ``{"first": "image1", ...}``."""
    columns = columns_named(names, ROLES)
    if group := columns_named(names, (group_column,)):
        columns["group"] = group[group_column]
    missing = [role for role in REQUIRED if role not in columns]
    if missing:
        role = missing[0]
        raise wrong_line(
            path,
            line,
            f"columns {', '.join(names) or 'none'}",
            f"one for {role!r} ({', '.join(ALIASES[role])})",
            "add a header line such as: first,second,same; or to each line its label",
        )
    if group_column != "group" and "group" not in columns:
        raise PairListError(
            f"{path}:{line}: found columns {', '.join(names)}, expected one named {group_column!r}",
            cure="name an existing group column",
        )
    return columns


def _labelled_row(path: Path, line: int, found: str, cells: Value) -> Row:
    """Row of a line without a header."""
    if not isinstance(cells, list) or not is_labelled(cells):
        expected = "two photos and a label, or a label and two photos"
        cure = "put tabs between them, or add a header such as: first,second,same"
        raise wrong_line(path, line, found, expected, cure)
    first, second, same = place_of(cells)
    assert same is not None
    return _row(path, line, {"first": cells[first], "second": cells[second], "same": cells[same]})


def _row(path: Path, line: int, named: Mapping[str, str]) -> Row:
    first, second = named["first"].strip(), named["second"].strip()
    if not first or not second:
        raise wrong_line(path, line, "an empty image", "two images", "fill in the row")
    fold = named.get("fold", "").strip()
    return Row(
        line,
        first,
        second,
        label(path, line, named["same"]),
        named.get("first_identity", "").strip() or identity_of(first),
        named.get("second_identity", "").strip() or identity_of(second),
        integer(path, line, fold, "a fold number") if fold else None,
        named["group"].strip() if "group" in named else None,
    )


def _is_table(file: ListFile) -> bool:
    """Whether the first line is a header, or most lines are labelled pairs."""
    head = [_cells_or_none(text) for _, text in file.lines[:HEAD]]
    if not head:
        return False
    labelled = sum(map(is_labelled, head))
    return 2 * labelled > len(head) or (isinstance(head[0], list) and is_header(head[0]))


def _cells_or_none(text: str) -> Value:
    with suppress(ValueError, csv.Error, RecursionError):
        return photo_cells(text)
    return []


def _is_json(file: ListFile) -> bool:
    return bool(file.lines) and file.lines[0][1].startswith("{")


def _format(kind: str, title: str, matches: Callable[[ListFile], bool]) -> ListFormat:
    def read(path: Path, group_column: str) -> PairList:
        return pair_list(path, kind, table(path, group_column))

    return ListFormat(kind, title, matches, read)


CSV = _format("csv", "CSV pair list", lambda file: file.suffix == ".csv")
TSV = _format("tsv", "TSV pair list", lambda file: file.suffix == ".tsv")
LABELLED = _format("labelled", "pair list: two photos and a label a line, or a header", _is_table)
JSON_LINES = ListFormat(
    "jsonl",
    "JSON-lines pair list",
    lambda file: file.suffix in (".jsonl", ".ndjson") or _is_json(file),
    lambda path, column: pair_list(path, "jsonl", json_lines(path, column)),
)
