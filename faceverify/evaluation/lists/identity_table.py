"""Tables of photos with identities or classes: CSV or TSV with a header, one photo a line."""

from __future__ import annotations

from pathlib import Path

from faceverify.evaluation.lists.identity_list import (
    Entry,
    IdentityList,
    identity_format,
    identity_list,
)
from faceverify.evaluation.lists.list_format import ListFile
from faceverify.evaluation.lists.pair_cells import is_header
from faceverify.evaluation.lists.rows import table_error, wrong_line
from faceverify.runtime.headed_table import OF_PHOTOS, headed_rows
from faceverify.runtime.table_lines import split_of, table_line

COLUMNS = {
    "photo": OF_PHOTOS,
    "person": (
        "person", "identity", "name", "class", "class_id", "label", "subject", "id",
    ),
}  # fmt: skip
SPLIT = {"test": ("test",), "train": ("train", "training", "is_training"), "split": ("split",)}
WORDS = {  # of the column split
    "train": True, "training": True, "gallery": True,
    "test": False, "val": False, "validation": False, "probe": False, "query": False,
}  # fmt: skip
BITS = {"1": True, "true": True, "0": False, "false": False}
SUFFIXES = (".csv", ".tsv")


def identity_table(path: Path) -> IdentityList:
    """The list of a table.

    Raises:
        PairListError: ``file:line: found ...; cure``.
    """
    entries = []
    for line, cells in headed_rows(path, COLUMNS, SPLIT, complain=table_error):
        if not cells["photo"] or not cells["person"]:
            raise wrong_line(path, line, "an empty cell", "a photo and its person", "fill in")
        entries.append(Entry(cells["photo"], cells["person"], _training(path, line, cells)))
    return identity_list(path, "identities", path.parent, entries)


def _training(path: Path, line: int, cells: dict[str, str]) -> bool | None:
    """Whether a row is of the training photos; None for a table without a split."""
    for role in SPLIT:
        if role in cells:
            known = WORDS if role == "split" else BITS
            value = known.get(cells[role].lower())
            if value is None:
                found = f"{role} {cells[role]!r}"
                raise wrong_line(path, line, found, " or ".join(known), "correct it")
            return not value if role == "test" else value
    return None


def _matches(file: ListFile) -> bool:
    """Whether the header names a photo and a person, and no pair of photos."""
    if file.suffix not in SUFFIXES:
        return False
    (number, first), *_ = file.lines
    cells = table_line(number, first, split_of(first)).value
    if not isinstance(cells, list) or is_header(cells):
        return False
    names = {cell.strip().lower() for cell in cells}
    return all(names.intersection(words) for words in COLUMNS.values())


FORMAT = identity_format("identities", "table of photos and people", _matches, identity_table)
