"""Cells of a line of photos, whatever separates them, and which of them are what.

A header names the columns. Without one a pair is the first two cells, with its label behind them
or before them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import NamedTuple

from faceverify.evaluation.lists.rows import is_label
from faceverify.evaluation.lists.spaced_paths import spaced_paths
from faceverify.runtime.table_lines import Split, Value, json_object, split_of, tab_cells

ALIASES = {
    "first": ("a", "first", "image1", "img1", "path1", "file1", "photo1"),
    "second": ("b", "second", "image2", "img2", "path2", "file2", "photo2"),
    "same": ("same", "label", "issame", "is_same", "same_person", "match", "genuine", "target"),
    "first_identity": ("first_identity", "identity1", "id1", "person1", "name1"),
    "second_identity": ("second_identity", "identity2", "id2", "person2", "name2"),
    "fold": ("fold", "split"),
    "photo": ("photo", "image", "img", "path", "file", "filename", "probe"),
    "name": ("name", "person", "identity", "claim", "id"),
}
PHOTOS = ("first", "second")


class Place(NamedTuple):
    """Indices of a pair's cells in a line without a header; no label: None."""

    first: int
    second: int
    label: int | None


def columns_named(names: Iterable[str], roles: Iterable[str]) -> dict[str, str]:
    """Column of each role: ``{"first": "image1", ...}``; none for a role that no column has."""
    by_word = {name.strip().lower(): name for name in reversed(list(names))}
    found = {}
    for role in roles:
        words = [word for word in ALIASES.get(role, (role.lower(),)) if word in by_word]
        if words:
            found[role] = by_word[words[0]]
    return found


def is_header(cells: list[str], roles: tuple[str, str] = PHOTOS) -> bool:
    """Whether cells are names of columns, two of them those of the roles."""
    return len(columns_named(cells, roles)) == len(roles)


def place_of(cells: list[str]) -> Place:
    """Where a pair's photos and label are among at least two cells.

    >>> place_of(["a.jpg", "b.jpg", "1"]), place_of(["-1", "a.jpg", "b.jpg"])
    (Place(first=0, second=1, label=2), Place(first=1, second=2, label=0))
    """
    if len(cells) > 2 and is_label(cells[0]) and not is_label(cells[2]):
        return Place(1, 2, 0)
    return Place(0, 1, 2 if len(cells) > 2 and is_label(cells[2]) else None)


def spaced_cells(line: str) -> list[str]:
    """Cells with spaces between them; paths that hold spaces end in an extension, or are quoted.

    Words without an extension are cells beside a label, or in a header.

    Raises:
        ValueError: it cannot be told where the paths end.
    """
    if '"' in line:
        return next(csv.reader([line.strip()], delimiter=" ", skipinitialspace=True, strict=True))
    if cells := spaced_paths(line):
        return cells
    words = line.split()
    if is_header(words) or (len(words) == 3 and place_of(words).label is not None):
        return words
    if len(words) < 4:
        return [line]
    raise ValueError(
        f"found {len(words)} words, expected two photos; put tabs between them, or quotes around "
        "a path with spaces"
    )


def split_of_photos(line: str) -> Split:
    """Function that splits the lines of a list of pairs of photos, by one of them."""
    split = split_of(line)
    if split in (json_object, tab_cells):
        return split
    if spaced_paths(line) or not ("," in line or ";" in line):
        return spaced_cells
    return split


def photo_cells(line: str) -> Value:
    """Cells, or the JSON object, of a line in whatever form it has."""
    return split_of_photos(line)(line)


def is_labelled(cells: Value) -> bool:
    """Whether cells are two photos and a label, in either order, and nothing else."""
    return isinstance(cells, list) and len(cells) == 3 and place_of(cells).label is not None
