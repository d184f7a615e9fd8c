"""Lists that are read line by line as they come: of pairs of photos, or of photos and names.

A line that is no pair is no reason to stop: it comes with its error. A file of another format than
a table (LFW's lists and their like) is read as ``read_pairs`` reads it, whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faceverify.errors import PairListError
from faceverify.evaluation.lists import FORMATS, tables
from faceverify.evaluation.lists.list_format import ListFile
from faceverify.evaluation.lists.pair_cells import (
    PHOTOS,
    columns_named,
    is_header,
    photo_cells,
    place_of,
    split_of_photos,
)
from faceverify.evaluation.lists.reading import kind_of, read_pairs
from faceverify.evaluation.lists.rows import binary, no_pairs
from faceverify.runtime.standard_streams import standard_input
from faceverify.runtime.table_lines import (
    Split,
    TableLine,
    Value,
    is_row,
    json_object,
    split_of,
    tab_cells,
    table_line,
)
from faceverify.runtime.text_lines import NotTextError, decoded_lines

Roles = tuple[str, str]  # what the two of a pair are, as in ALIASES

CLAIMS: Roles = ("photo", "name")
PEOPLE: Roles = ("name", "photo")
HEAD = 1 << 16  # bytes by which a table, which may be long, is told from other formats
TABLES = (tables.CSV, tables.TSV, tables.JSON_LINES, tables.LABELLED)


@dataclass(frozen=True)
class PairLine:
    """One line of a list.

    Attributes:
        place: list and line number, for messages.
        a, b: the pair.
        columns: all of the line's columns, to be printed before the decision.
        named: the columns beside the pair, by name, for JSON.
        error: why the line is no pair, and where it stands.
    """

    place: str
    a: str
    b: str
    columns: list[str]
    named: dict[str, Any] = field(default_factory=dict)
    error: PairListError | None = None

    @property
    def question(self) -> Roles:
        """The pair alone."""
        return self.a, self.b


def read_pair_lines(source: str, roles: Roles = PHOTOS) -> Iterator[PairLine]:
    """Pairs of a list: of a file, or of standard input for ``-``.

    Raises:
        PairListError: the list cannot be read, is no text, or holds no lines.
    """
    name = "standard input" if source == "-" else source
    other = _other_kind(Path(source)) if roles == PHOTOS else None
    try:
        if other is not None:
            yield from _whole_list(Path(source), other)
        elif source == "-":
            yield from pair_lines(decoded_lines(standard_input()), name, roles)
        else:
            with open(source, "rb") as stream:
                yield from pair_lines(decoded_lines(stream), name, roles)
    except NotTextError as error:
        raise binary(name) from error
    except OSError as error:
        cure = "" if source == "-" else "check the path"
        raise PairListError(f"{name}: cannot be read ({error.strerror})", cure=cure) from error


def pair_lines(lines: Iterable[str], name: str, roles: Roles = PHOTOS) -> Iterator[PairLine]:
    """Pairs of lines, in the form that each has; once a header, a tab or JSON has told, in that.

    Args:
        lines: from the first on, blank ones too.
        name: of the list, for messages.
        roles: of the two that make a pair.

    Raises:
        PairListError: no line is a row.
    """
    split: Split | None = None
    header: list[str] = []
    empty = True
    for number, text in enumerate(lines, 1):
        if not is_row(text):
            continue
        own = split or (photo_cells if roles == PHOTOS else lambda text: split_of(text)(text))
        line = table_line(number, text, own)
        cells = line.value
        if split is None and isinstance(cells, list) and is_header(cells, roles):
            split, header = (split_of_photos if roles == PHOTOS else split_of)(text), cells
            continue
        empty = False
        pair = _pair_line(line, header, name, roles)
        if pair.error is None and split is None and split_of(text) in (tab_cells, json_object):
            split = split_of(text)  # a later line without one is damaged, and no other form
        yield pair
    if empty:
        raise no_pairs(name)


def _pair_line(line: TableLine, header: list[str], name: str, roles: Roles) -> PairLine:
    """The pair of a line, or why it is none."""
    place, reason = f"{name}:{line.number}", line.error
    if not reason:
        pair, others = _pair_and_others(line.value, header, roles)
        if "same" in others:  # as a decision's own answer is called
            others["label"] = others.pop("same")
        if len(pair) == 2 and all(isinstance(one, str) and one.strip() for one in pair):
            columns = line.value
            if isinstance(columns, dict):
                columns = [*pair, *map(str, others.values())]
            return PairLine(place, pair[0].strip(), pair[1].strip(), columns, others)
        wanted = "two photos" if roles == PHOTOS else " and ".join(roles)
        if isinstance(line.value, dict):
            texts = " and ".join(f'"{role}"' for role in (("a", "b") if roles == PHOTOS else roles))
            reason = f"expected an object with texts {texts}"
        else:
            reason = f"found {len(line.value)} column(s), expected {wanted}"
    error = PairListError(f"{place}: {reason}")
    return PairLine(place, "", "", [line.text], error=error)


def _pair_and_others(
    value: Value, header: list[str], roles: Roles
) -> tuple[list[Any], dict[str, Any]]:
    """The two of a line, or fewer, and what stands beside them, by name."""
    if isinstance(value, dict):
        others = dict(value)
        found = columns_named(value, roles)
        return [others.pop(found[role], None) for role in roles if role in found], others
    if header:
        found = columns_named(header, roles)
        named = dict(zip(header, value, strict=False))
        return [named.pop(found[role], None) for role in roles], named
    if len(value) < 2:
        return list(value), {}
    first, second, _ = place_of(value) if roles == PHOTOS else (0, 1, None)
    extra = [cell for index, cell in enumerate(value) if index not in (first, second)]
    return [value[first], value[second]], {"columns": extra} if extra else {}


def _other_kind(path: Path) -> str | None:
    """The format of a file or folder that is no table; None for a table, and for a pipe."""
    if not (path.is_file() or path.is_dir()):
        return None
    try:
        kind = kind_of(ListFile(path, size=HEAD))
        if kind in ("calfw", "cplfw"):  # told apart by all of their lines
            kind = kind_of(ListFile(path))
    except (PairListError, OSError):
        return None
    return None if kind is None or FORMATS[kind] in TABLES else kind


def _whole_list(path: Path, kind: str) -> Iterator[PairLine]:
    one = FORMATS[kind]
    if not one.pairs or kind in ("pack", "ijb"):
        raise PairListError(
            f"{path}: found {one.title}, expected pairs of photo files",
            cure="`faceverify evaluate` measures on it",
        )
    pairs = read_pairs(path, kind=kind)
    assert pairs.line is not None
    for number, a, b, same in zip(pairs.line, pairs.first, pairs.second, pairs.same, strict=True):
        yield PairLine(f"{path}:{number}", a, b, [a, b, str(int(same))], {"label": int(same)})
