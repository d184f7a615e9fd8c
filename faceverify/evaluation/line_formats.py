"""Pair lists of plain lines: LFW and its kin, CALFW, CPLFW, IJB template pairs.

LFW: Huang et al., "Labeled Faces in the Wild", 2007. CALFW: Zheng et al., arXiv:1708.08197.
CPLFW: Zheng and Deng, 2018. RFW: Wang et al., arXiv:1812.00194. MFR2: Anwar and Raychowdhury,
arXiv:2008.11104. IJB-B/C: Whitelam et al., 2017; Maze et al., 2018.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faceverify.evaluation.pair_rows import Row, identity_of, integer, label, wrong_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Lines = list[tuple[int, str]]

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


def ijb_pairs(path: Path, lines: Lines) -> Iterator[Row]:
    """``TEMPLATE TEMPLATE 0|1``: ids of templates, whose photos another file lists."""
    for number, text in lines:
        fields = text.split()
        if len(fields) != 3:
            raise wrong_line(
                path, number, f"{len(fields)} fields", "TEMPLATE TEMPLATE 0|1", "correct the line"
            )
        first, second = (str(integer(path, number, id_, "a template id")) for id_ in fields[:2])
        yield Row(number, first, second, label(path, number, fields[2]))


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
