"""Pair lists with named columns: CSV, TSV and JSON lines."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from faceverify.errors import PairListError
from faceverify.evaluation.lists.list_format import ListFormat
from faceverify.evaluation.lists.pair_list import PairList, pair_list
from faceverify.evaluation.lists.rows import (
    Row,
    identity_of,
    integer,
    label,
    read_text_lines,
    wrong_line,
)
from faceverify.runtime.table_lines import comma_cells, json_object, quoted_records, table_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ALIASES = {
    "first": ("first", "image1", "img1", "path1", "file1", "photo1", "a"),
    "second": ("second", "image2", "img2", "path2", "file2", "photo2", "b"),
    "same": ("same", "label", "issame", "is_same", "same_person", "match", "genuine", "target"),
    "first_identity": ("first_identity", "identity1", "id1", "person1", "name1"),
    "second_identity": ("second_identity", "identity2", "id2", "person2", "name2"),
    "fold": ("fold", "split"),
}
REQUIRED = ("first", "second", "same")


def separated(path: Path, separator: str, group_column: str) -> Iterator[Row]:
    """Rows of a CSV (``,``) or TSV (tab) file with a header line.

    Raises:
        PairListError: a column is missing, or a row has another number of fields than the header.
    """
    split = partial(comma_cells, separator=separator)
    header: list[str] = []
    for line in table_lines(quoted_records(read_text_lines(path)), split):
        if line.error:
            raise wrong_line(path, line.number, line.error, "UTF-8 rows", "correct it")
        cells = list(line.value)
        if not header:
            header = [name.strip() for name in cells]
            columns = _columns(path, header, group_column)
            continue
        if len(cells) != len(header):
            raise wrong_line(
                path,
                line.number,
                f"{len(cells)} fields",
                f"{len(header)} as in the header",
                "quote a field that holds the separator",
            )
        named = {role: cells[header.index(name)] for role, name in columns.items()}
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


def _columns(path: Path, names: list[str], group_column: str, line: int = 1) -> dict[str, str]:
    """Which column plays which role: ``{"first": "image1", ...}``."""
    by_word = {name.lower(): name for name in reversed(names)}
    aliases = {**ALIASES, "group": (group_column.lower(),)}
    columns = {
        role: by_word[word]
        for role, words in aliases.items()
        for word in reversed(words)
        if word in by_word
    }
    missing = [role for role in REQUIRED if role not in columns]
    if missing:
        role = missing[0]
        raise wrong_line(
            path,
            line,
            f"columns {', '.join(names) or 'none'}",
            f"one for {role!r} ({', '.join(ALIASES[role])})",
            "add a header line such as: first,second,same",
        )
    if group_column != "group" and "group" not in columns:
        raise PairListError(
            f"{path}:{line}: found columns {', '.join(names)}, expected one named {group_column!r}",
            cure="name an existing group column",
        )
    return columns


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


def _table(kind: str, title: str, separator: str) -> ListFormat:
    def read(path: Path, group_column: str) -> PairList:
        return pair_list(path, kind, separated(path, separator, group_column))

    return ListFormat(kind, title, lambda file: file.suffix == f".{kind}", read)


CSV = _table("csv", "CSV pair list", ",")
TSV = _table("tsv", "TSV pair list", "\t")
JSON_LINES = ListFormat(
    "jsonl",
    "JSON-lines pair list",
    lambda file: file.suffix in (".jsonl", ".ndjson"),
    lambda path, column: pair_list(path, "jsonl", json_lines(path, column)),
)
