"""Tables whose first line names their columns: CSV, with semicolons or tabs for commas as well."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from faceverify.errors import FaceverifyError
from faceverify.runtime.table_lines import (
    is_row,
    json_object,
    quoted_records,
    split_of,
    tab_cells,
    table_lines,
)
from faceverify.runtime.text import shown
from faceverify.runtime.text_lines import NotTextError, text_of

Complain = Callable[[str, str], FaceverifyError]  # what is wrong, and the cure
NEVER_CLOSED = 20  # lines that a quoted cell may span
OF_PHOTOS = (  # words of a column of photos
    "photo", "image", "img", "path", "file", "filename", "filepath", "fname", "image_path",
    "relative_im_path",
)  # fmt: skip


class HeadedRow(NamedTuple):
    """A row: its line, from 1, and its cells by role, stripped."""

    line: int
    cells: dict[str, str]


def headed_rows(
    path: str | os.PathLike[str],
    required: Mapping[str, tuple[str, ...]],
    optional: Mapping[str, tuple[str, ...]],
    *,
    complain: Complain,
) -> Iterator[HeadedRow]:
    """Rows of a table, in the encodings and with the newlines that ``text_of`` knows.

    Args:
        path: of the file.
        required: words that a header may have for each role, in lower case.
        optional: likewise, of roles that a table may lack.
        complain: makes the error.

    Raises:
        FaceverifyError: by ``complain``: it cannot be read, lacks a column or has it twice, or a
            row is not as long as the header.
    """
    lines = list(enumerate(table_text(path, complain=complain).split("\n"), 1))
    number, first = next(((at, text) for at, text in lines if is_row(text)), (1, ""))
    split = split_of(first)
    if not first or split is json_object:
        found = shown(first) if first else "no line"
        raise complain(f"{path}:{number}: found {found}", f"begin it with {example(required)}")
    records = lines if split is tab_cells else list(quoted_records(lines))
    rows = table_lines(records, split)
    header = next(rows)
    if header.error:
        raise complain(f"{path}:{header.number}: found {header.error}", "correct it")
    names = [name.strip().lower() for name in header.value]
    columns = dict[str, int]()
    for role, words in {**required, **optional}.items():
        places = [place for word in words for place, name in enumerate(names) if name == word]
        if not places and role in required:
            raise complain(
                f"{path}:{header.number}: found columns {', '.join(map(shown, names))}, none of a "
                f"{role} ({', '.join(words)})",
                f"begin it with a line such as {example(required)}",
            )
        if len(places) > 1 and names[places[0]] == names[places[1]]:
            raise complain(
                f"{path}:{header.number}: found two columns {shown(names[places[0]])}",
                "rename one of them",
            )
        columns |= {role: places[0]} if places else {}
    for row in rows:
        spanned = row.text.count("\n")
        if spanned > NEVER_CLOSED:
            raise complain(
                f"{path}:{row.number}: found a quote that is not closed for {spanned} lines",
                "close it, or write it twice",
            )
        if row.error or len(row.value) != len(names):
            found = row.error or f"{len(row.value)} cells, and {len(names)} in the header"
            raise complain(
                f"{path}:{row.number}: found {found}", "put quotes around a cell with a separator"
            )
        cells = list(row.value)
        yield HeadedRow(row.number, {role: cells[at].strip() for role, at in columns.items()})


def table_text(path: str | os.PathLike[str], *, complain: Complain) -> str:
    r"""A whole text file, each line ended by ``\n``; errors as of :func:`headed_rows`."""
    try:
        with open(path, "rb") as stream:
            return text_of(stream.read())
    except OSError as error:
        raise complain(f"{path}: cannot be read ({error.strerror})", "check the path") from error
    except (UnicodeDecodeError, NotTextError) as error:
        raise complain(f"{path}: found a file that is no text", "save it as UTF-8") from error


def example(roles: Mapping[str, tuple[str, ...]]) -> str:
    """The header of a table of these roles."""
    return ",".join(words[0] for words in roles.values())
