"""Pair lists: genuine and impostor pairs, with identities, folds and groups."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import PairListError
from faceverify.evaluation.lists.list_format import ListFile, ListFormat, Listing
from faceverify.evaluation.lists.rows import Lines, Row, no_pairs, read_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


@dataclass(frozen=True, eq=False)
class PairList(Listing):
    """A list of N comparisons, in the order of its file.

    Args:
        source: the file.
        kind: one of ``FORMATS``.
        first, second: image paths or ids, as listed, N each.
        same: whether a pair is genuine, (N,).
        fold: official fold of each pair, from 0, (N,); None when the list has none.
        group: group of each pair, for rates by group; None when the list has none.
        first_identity, second_identity: of the photos, N each; None unless all are listed.
        line: line of each pair in its file, from 1, (N,); None for a pack.
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
    line: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.first)

    @property
    def images(self) -> list[str]:
        """All images, each once, in the order of first mention."""
        return list(dict.fromkeys([*self.first, *self.second]))

    @property
    def facts(self) -> dict[str, int]:
        """Counts by name, in printing order."""
        genuine = int(np.count_nonzero(self.same))
        facts = {
            "pairs": len(self),
            "genuine": genuine,
            "impostor": len(self) - genuine,
            "images": len(self.images),
        }
        if self.first_identity and self.second_identity:
            facts["people"] = len({*self.first_identity, *self.second_identity})
        if self.fold is not None:
            facts["folds"] = len(np.unique(self.fold))
        if self.group is not None:
            facts["groups"] = len(set(self.group))
        return facts

    @property
    def notes(self) -> list[str]:
        """Caveats, one line each."""
        keys = Counter(frozenset(pair) for pair in zip(self.first, self.second, strict=True))
        repeated = sum(count - 1 for count in keys.values())
        selves = sum(first == second for first, second in zip(self.first, self.second, strict=True))
        genuine = int(np.count_nonzero(self.same))
        notes = []
        if repeated:
            notes.append(f"{repeated} pairs are listed again: each counts as often as it is listed")
        if selves:
            notes.append(f"{selves} pairs compare a photo with itself: they flatter any model")
        if genuine in (0, len(self)):
            only = "impostor" if not genuine else "genuine"
            notes.append(f"only {only} pairs: what needs both kinds will be n/a")
        if self.fold is not None and len(np.unique(self.fold)) < 2:
            notes.append("one fold: 10-fold accuracy is n/a")
        return notes


def line_format(
    kind: str,
    title: str,
    matches: Callable[[ListFile], bool],
    rows: Callable[[Path, Lines], Iterable[Row]],
) -> ListFormat:
    """A format of pair lists, from a function that turns lines into rows."""

    def read(path: Path, _group_column: str) -> PairList:
        return pair_list(path, kind, rows(path, read_lines(path)))

    return ListFormat(kind, title, matches, read)


def pair_list(path: Path, kind: str, listed: Iterable[Row]) -> PairList:
    """A pair list from its rows.

    Raises:
        PairListError: no rows, contradictory labels, or incomplete folds or groups.
    """
    rows = list(listed)
    if not rows:
        raise no_pairs(str(path))
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
        line=np.array([row.line for row in rows], np.int64),
    )


def folds_by_position(same: NDArray[np.bool_], folds: int = 10) -> NDArray[np.int64]:
    """Folds by position: the k-th of n genuine pairs is in fold ``folds * k // n``.

    Impostor pairs likewise. For lists in the order of LFW these are the official folds.

    Args:
        same: whether each pair is genuine, (N,).
        folds: number of folds.

    Returns:
        Fold of each pair from 0, (N,).
    """
    fold = np.zeros(len(same), np.int64)
    for members in (np.flatnonzero(same), np.flatnonzero(~same)):
        fold[members] = folds * np.arange(len(members)) // max(len(members), 1)
    return fold


def groups_of_pairs(pairs: PairList, group_of: Mapping[str, str]) -> list[str]:
    """Group of each pair, from the group of each identity; ``a | b`` across groups.

    Raises:
        PairListError: the list has no identities, or an identity has no group.
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
