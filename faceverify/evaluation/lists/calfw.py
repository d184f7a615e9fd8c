"""CALFW and CPLFW: Zheng et al., arXiv:1708.08197; Zheng and Deng, 2018. Two lines a pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faceverify.evaluation.lists.list_format import ListFile
from faceverify.evaluation.lists.pair_list import line_format
from faceverify.evaluation.lists.rows import Lines, Row, identity_of, integer, wrong_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def calfw(path: Path, lines: Lines) -> Iterator[Row]:
    """Two lines a pair, ``FILE LABEL``: 1 to 10 is the fold of a genuine pair, 0 an impostor pair.

    The folds of impostors are not in the file: the k-th of n lies in fold ``10 k // n``.
    """
    pairs = list(_labelled_pairs(path, lines))
    impostors, seen = sum(value == 0 for _, _, _, value in pairs), 0
    for number, first, second, value in pairs:
        if value > 10:
            raise wrong_line(
                path, number, f"label {value}", "0 (impostor) or a fold, 1 to 10", "correct it"
            )
        fold = value - 1
        if value == 0:
            fold, seen = 10 * seen // impostors, seen + 1
        yield _file_row(number, first, second, value > 0)._replace(fold=fold)


def cplfw(path: Path, lines: Lines) -> Iterator[Row]:
    """Two lines a pair, ``FILE LABEL``, 1 genuine or 0 impostor; some copies have a header."""
    for number, first, second, value in _labelled_pairs(path, lines):
        if value > 1:
            raise wrong_line(path, number, f"label {value}", "0 or 1", "use --kind calfw for folds")
        yield _file_row(number, first, second, value == 1)


def _labelled_pairs(path: Path, lines: Lines) -> Iterator[tuple[int, str, str, int]]:
    """Pairs of ``FILE LABEL`` lines as (line, first, second, label); a header line is skipped."""
    if lines[0][1].split()[-1].isalpha() or "_person" in lines[0][1]:
        lines = lines[1:]
    parsed = []
    for number, text in lines:
        fields = text.rsplit(None, 1)
        if len(fields) != 2:
            raise wrong_line(path, number, repr(text), "FILE LABEL", "correct the line")
        parsed.append((number, fields[0], integer(path, number, fields[1], "FILE LABEL")))
    if len(parsed) % 2 or not parsed:
        raise wrong_line(
            path, lines[-1][0] if lines else 1, f"{len(parsed)} lines", "two a pair", "complete it"
        )
    for (_, first, value), (number, second, other) in zip(parsed[::2], parsed[1::2], strict=True):
        if value != other:
            raise wrong_line(
                path,
                number,
                f"label {other} after label {value}",
                "both lines of a pair to have one label",
                "a line is missing or doubled above",
            )
        yield number, first, second, value


def _file_row(number: int, first: str, second: str, same: bool) -> Row:
    return Row(number, first, second, same, identity_of(first), identity_of(second))


def _labelled(file: ListFile) -> bool:
    """Whether its lines end in a number: ``FILE LABEL``."""
    return len(file.head[-1]) == 2 and file.head[-1][1].isdigit()


def _with_folds(file: ListFile) -> bool:
    labels = (text.split()[-1] for _, text in file.lines[1:])
    return _labelled(file) and any(
        label.isdigit() and label.lstrip("0") not in ("", "1") for label in labels
    )


CALFW = line_format("calfw", "CALFW: two lines a pair, label is the fold", _with_folds, calfw)
CPLFW = line_format("cplfw", "CPLFW: two lines a pair, label 0 or 1", _labelled, cplfw)
