"""Every pair list of the field, read into one :class:`PairList`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import PairListError, UsageError
from faceverify.evaluation import line_formats, table_formats
from faceverify.evaluation.cfp import cfp
from faceverify.evaluation.pair_rows import Row, read_lines
from faceverify.evaluation.sniffing import KINDS, sniff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

LINE_FORMATS: dict[str, Callable[[Path, list[tuple[int, str]]], Iterator[Row]]] = {
    "lfw-view2": line_formats.lfw_view2,
    "lfw-view1": line_formats.lfw_view1,
    "lfw-lines": line_formats.lfw_lines,
    "calfw": line_formats.calfw,
    "cplfw": line_formats.cplfw,
    "ijb": line_formats.ijb_pairs,
}


@dataclass(frozen=True, eq=False)
class PairList:
    """Comparisons to make, N of them, in the order of their file.

    Args:
        source: the file it came from.
        kind: one of ``KINDS``, or ``pack``.
        first, second: image paths or ids, as listed, N each.
        same: whether a pair is genuine, (N,).
        fold: official fold of each pair, from 0, (N,); None when the list has none.
        group: group of each pair, for rates by group; None when the list has none.
        first_identity, second_identity: the people; None where the list does not tell them all.
    """

    source: str
    kind: str
    first: list[str]
    second: list[str]
    same: NDArray[np.bool_]
    fold: NDArray[np.int64] | None = None
    group: list[str] | None = None
    first_identity: list[str] | None = None
    second_identity: list[str] | None = None

    def __len__(self) -> int:
        return len(self.first)

    @property
    def images(self) -> list[str]:
        """Every image once, in the order of first mention."""
        return list(dict.fromkeys([*self.first, *self.second]))


def read_pairs(path: Path, *, kind: str | None = None, group_column: str = "group") -> PairList:
    """Read a pair list of any kind.

    Args:
        path: a list, or for CFP the folder ``Protocol/Split/FF`` or ``FP``.
        kind: one of ``KINDS``; None to tell it from the content.
        group_column: the column of a CSV, TSV or JSON-lines file that holds the group.

    Raises:
        PairListError: ``file:line: found ..., expected ...; cure``, also for a pair that is listed
            both as same and as different.
        UsageError: an unknown kind.
    """
    kind = sniff(path) if kind is None else kind
    if kind in LINE_FORMATS:
        rows: Iterable[Row] = LINE_FORMATS[kind](path, read_lines(path))
    elif kind == "cfp":
        rows = cfp(path)
    elif kind in ("csv", "tsv"):
        read_lines(path)  # the errors of a missing, empty or binary file
        rows = table_formats.separated(path, "," if kind == "csv" else "\t", group_column)
    elif kind == "jsonl":
        rows = table_formats.json_lines(path, read_lines(path), group_column)
    else:
        raise UsageError(
            f"{path}: found {kind!r}, expected a pair list", cure=f"kinds: {', '.join(KINDS)}"
        )
    return _assemble(path, kind, list(rows))


def folds_by_position(same: NDArray[np.bool_], folds: int = 10) -> NDArray[np.int64]:
    """Folds for a list that has none: the k-th genuine of n lies in fold ``folds * k // n``.

    Impostors likewise. On lists in the order of LFW (blocks of genuine and impostor lines) these
    are the official folds.

    Args:
        same: (N,).
        folds: how many.

    Returns:
        Fold of each pair from 0, (N,).
    """
    fold = np.zeros(len(same), np.int64)
    for members in (np.flatnonzero(same), np.flatnonzero(~same)):
        fold[members] = folds * np.arange(len(members)) // max(len(members), 1)
    return fold


def groups_of_pairs(pairs: PairList, group_of: Mapping[str, str]) -> list[str]:
    """Group of each pair from a group of each person; across groups it reads ``a | b``.

    Raises:
        PairListError: the list does not tell its people, or a person has no group.
    """
    if pairs.first_identity is None or pairs.second_identity is None:
        raise PairListError(f"{pairs.source}: found no identities", cure="add identity columns")
    people = {*pairs.first_identity, *pairs.second_identity}
    missing = sorted(people - group_of.keys())
    if missing:
        raise PairListError(
            f"{pairs.source}: found {len(missing)} of {len(people)} people without a group "
            f"({', '.join(missing[:3])})",
            cure="add them to the group file",
        )
    return [
        " | ".join(sorted({group_of[first], group_of[second]}))
        for first, second in zip(pairs.first_identity, pairs.second_identity, strict=True)
    ]


def _assemble(path: Path, kind: str, rows: list[Row]) -> PairList:
    if not rows:
        raise PairListError(f"{path}: found no pairs, expected at least one", cure="check the file")
    labels: dict[frozenset[str], Row] = {}
    for row in rows:
        known = labels.setdefault(frozenset((row.first, row.second)), row)
        if known.same != row.same:
            raise PairListError(
                f"{path}:{row.line}: found {row.first} and {row.second} as "
                f"{'same' if row.same else 'different'}, expected the label of line {known.line}",
                cure="remove one of the two",
            )
    folds, groups = [row.fold for row in rows], [row.group for row in rows]
    for name, values in (("fold", folds), ("group", groups)):
        if None in values and any(value is not None for value in values):
            line = rows[values.index(None)].line
            raise PairListError(
                f"{path}:{line}: found no {name}, expected one on every line or on none",
                cure=f"fill in the {name}",
            )
    identified = all(row.first_identity and row.second_identity for row in rows)
    return PairList(
        source=str(path),
        kind=kind,
        first=[row.first for row in rows],
        second=[row.second for row in rows],
        same=np.array([row.same for row in rows], bool),
        fold=None if None in folds else np.array(folds, np.int64),
        group=None if None in groups else [str(group) for group in groups],
        first_identity=[row.first_identity for row in rows] if identified else None,
        second_identity=[row.second_identity for row in rows] if identified else None,
    )
