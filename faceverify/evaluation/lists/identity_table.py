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
from faceverify.evaluation.lists.rows import no_pairs, read_text_lines, wrong_line
from faceverify.runtime.table_lines import (
    is_row,
    quoted_records,
    split_of,
    tab_cells,
    table_line,
    table_lines,
)

PHOTO = ("photo", "image", "img", "path", "file", "filename", "fname", "relative_im_path")
IDENTITY = ("person", "identity", "name", "class", "class_id", "label", "subject", "id")
TEST, TRAINING, SPLIT = "test", ("train", "training", "is_training"), "split"
WORDS = {  # of the column named by SPLIT
    "train": True, "training": True, "gallery": True,
    "test": False, "val": False, "validation": False, "probe": False, "query": False,
}  # fmt: skip
BITS = {"1": True, "true": True, "0": False, "false": False}
SUFFIXES = (".csv", ".tsv")


def identity_table(path: Path) -> IdentityList:
    """The list of a table.

    Raises:
        PairListError: ``file:line: found ..., expected ...``.
    """
    lines = read_text_lines(path)
    first = next((text for _, text in lines if is_row(text)), None)
    if first is None:
        raise no_pairs(str(path))
    split = split_of(first)
    rows = table_lines(lines if split is tab_cells else list(quoted_records(lines)), split)
    header = next(rows)
    if header.error or not isinstance(header.value, list):
        raise wrong_line(path, header.number, header.error or repr(first), "a header", "correct it")
    names = [name.strip().lower() for name in header.value]
    photo, identity = _column(names, PHOTO), _column(names, IDENTITY)
    if photo is None or identity is None:
        expected = f"columns {'|'.join(PHOTO)} and {'|'.join(IDENTITY)}"
        raise wrong_line(path, header.number, ", ".join(names) or "none", expected, "add them")
    entries = []
    for line in rows:
        if line.error:
            raise wrong_line(path, line.number, line.error, "a row", "correct it")
        cells = [cell.strip() for cell in line.value]
        if len(cells) != len(names):
            found, expected = f"{len(cells)} fields", f"{len(names)} as in the header"
            raise wrong_line(path, line.number, found, expected, "quote what holds a separator")
        if not cells[photo] or not cells[identity]:
            raise wrong_line(
                path, line.number, "an empty cell", "a photo and its person", "fill in"
            )
        training = _training(path, line.number, dict(zip(names, cells, strict=True)))
        entries.append(Entry(cells[photo], cells[identity], training))
    return identity_list(path, "identities", path.parent, entries)


def _column(names: list[str], words: tuple[str, ...]) -> int | None:
    return next((names.index(word) for word in words if word in names), None)


def _training(path: Path, line: int, row: dict[str, str]) -> bool | None:
    """Whether a row is of the training photos; None for a table without a split."""
    for name in (TEST, *TRAINING, SPLIT):
        if name in row:
            known = WORDS if name == SPLIT else BITS
            value = known.get(row[name].lower())
            if value is None:
                raise wrong_line(
                    path, line, f"{name} {row[name]!r}", " or ".join(known), "correct it"
                )
            return not value if name == TEST else value
    return None


def _matches(file: ListFile) -> bool:
    """Whether the header names a photo and a person, and no pair of photos."""
    if file.suffix not in SUFFIXES:
        return False
    (number, first), *_ = file.lines
    cells = table_line(number, first, split_of(first)).value
    if not isinstance(cells, list) or is_header(cells):
        return False
    names = [cell.strip().lower() for cell in cells]
    return _column(names, PHOTO) is not None and _column(names, IDENTITY) is not None


FORMAT = identity_format("identities", "table of photos and people", _matches, identity_table)
