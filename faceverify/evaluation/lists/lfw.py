"""Labeled Faces in the Wild and lists like it: Huang et al., 2007; https://vis-www.cs.umass.edu/lfw.

RFW (Wang et al., arXiv:1812.00194) and MFR2 (Anwar and Raychowdhury, arXiv:2008.11104) have its
lines without a header.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faceverify.evaluation.lists.list_format import ListFile, ListFormat, Listing
from faceverify.evaluation.lists.pair_list import line_format
from faceverify.evaluation.lists.rows import Lines, Row, integer, read_lines, wrong_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GENUINE = "NAME NUMBER NUMBER (one person)"
IMPOSTOR = "NAME NUMBER NAME NUMBER (two people)"


def lfw_view2(path: Path, lines: Lines) -> Iterator[Row]:
    """``FOLDS COUNT``, then per fold COUNT genuine and COUNT impostor lines.

    Folds follow from the position in the file, never from what is left of it.
    """
    number, header = lines[0]
    fields = header.split()
    if len(fields) != 2:
        raise wrong_line(path, number, repr(header), "FOLDS COUNT (10 300)", "name its --kind")
    folds, count = (integer(path, number, field, "FOLDS COUNT (10 300)") for field in fields)
    yield from _lfw_blocks(path, lines, folds, count, folded=True)


def lfw_view1(path: Path, lines: Lines) -> Iterator[Row]:
    """``COUNT``, then COUNT genuine and COUNT impostor lines."""
    number, header = lines[0]
    yield from _lfw_blocks(path, lines, 1, integer(path, number, header, "COUNT"), folded=False)


def lfw_lines(path: Path, lines: Lines) -> Iterator[Row]:
    """LFW lines without a header, as RFW and MFR2 have them: genuine of 3 fields, impostor of 4."""
    for number, text in lines:
        yield _lfw_row(path, number, text)


def _lfw_blocks(path: Path, lines: Lines, folds: int, count: int, *, folded: bool) -> Iterator[Row]:
    expected = folds * 2 * count
    if len(lines) - 1 != expected or not expected:
        raise wrong_line(
            path,
            lines[-1][0],
            f"{len(lines) - 1} pairs in the whole file",
            f"{expected} ({folds} x (300 genuine + 300 impostor))".replace("300", str(count)),
            "use a complete copy: leaving lines out would shift the folds",
        )
    for position, (number, text) in enumerate(lines[1:]):
        row = _lfw_row(path, number, text)
        genuine = position % (2 * count) < count
        if row.same != genuine:
            found, wanted = (IMPOSTOR, GENUINE) if genuine else (GENUINE, IMPOSTOR)
            raise wrong_line(path, number, found, f"{wanted} here", "keep the official order")
        yield row._replace(fold=position // (2 * count)) if folded else row


def _lfw_row(path: Path, number: int, text: str) -> Row:
    fields = text.split()
    if len(fields) == 3:
        fields.insert(2, fields[0])
    elif len(fields) != 4:
        cure = "use the official list"
        raise wrong_line(path, number, f"{text!r}", f"{GENUINE} or {IMPOSTOR}", cure)
    first_name, first_number, second_name, second_number = fields
    first, second = (
        f"{name}/{name}_{integer(path, number, index, 'an image number'):04d}.jpg"
        for name, index in ((first_name, first_number), (second_name, second_number))
    )
    return Row(number, first, second, len(text.split()) == 3, first_name, second_name)


@dataclass(frozen=True)
class People(Listing):
    """People and how many photos each has (``people.txt``), in ``folds`` folds."""

    people: int
    images: int
    folds: int

    @property
    def facts(self) -> dict[str, int]:
        """Counts by name, in the order to print."""
        return {"people": self.people, "images": self.images, "folds": self.folds}


def read_people(path: Path) -> People:
    """Read ``COUNT`` and lines ``NAME PHOTOS``; in View 2 ``FOLDS``, and that for each fold.

    Raises:
        PairListError: ``file:line: found ..., expected ...``.
    """
    people, images, folds = 0, 0, 0
    for number, text in read_lines(path)[1:]:
        fields = text.split()
        if len(fields) == 2:
            people, images = people + 1, images + integer(path, number, fields[1], "NAME COUNT")
        elif len(fields) == 1:
            folds += integer(path, number, fields[0], "a count of people") > 0
        else:
            raise wrong_line(path, number, repr(text), "NAME COUNT", "correct the line")
    return People(people, images, max(folds, 1))


def _is_view(file: ListFile, numbers: int) -> bool:
    """Whether it begins with so many numbers and goes on in lines of LFW."""
    return file.numeric and len(file.head[0]) == numbers and len(file.head[-1]) in (3, 4)


def _is_people(file: ListFile) -> bool:
    return file.numeric and len(file.head[0]) <= 2 and len(file.head[-1]) not in (3, 4)


def _is_lines(file: ListFile) -> bool:
    first = file.head[0]
    return len(first) in (3, 4) and first[1].isdigit() and first[-1].isdigit()


VIEW_2 = line_format(
    "lfw-view2", "LFW View 2: pairs in official folds", lambda file: _is_view(file, 2), lfw_view2
)
VIEW_1 = line_format(
    "lfw-view1", "LFW View 1: pairs for development", lambda file: _is_view(file, 1), lfw_view1
)
LINES = line_format("lfw-lines", "LFW lines without a header (RFW, MFR2)", _is_lines, lfw_lines)
PEOPLE = ListFormat(
    "people",
    "LFW people list (no pairs)",
    _is_people,
    lambda path, _: read_people(path),
    pairs=False,
)
