"""Reader of evaluation lists; the format is detected by name and content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faceverify.errors import PairListError, UsageError
from faceverify.evaluation.lists import FORMATS
from faceverify.evaluation.lists.identity_list import IdentityList
from faceverify.evaluation.lists.list_format import ListFile
from faceverify.evaluation.lists.pair_list import PairList

if TYPE_CHECKING:
    from pathlib import Path

KINDS = tuple(kind for kind, one in FORMATS.items() if one.pairs)
PEOPLE_KINDS = tuple(kind for kind, one in FORMATS.items() if one.people)


@dataclass(frozen=True)
class Inspection:
    """Format and contents of an evaluation list.

    Args:
        source, kind, title: the file, its format as ``--kind`` takes it, and in words.
        facts: counts by name, in printing order.
        notes: caveats, one line each.
    """

    source: str
    kind: str
    title: str
    facts: dict[str, int]
    notes: list[str]


def kind_of(file: ListFile) -> str | None:
    """The detected format of a file, one of ``FORMATS``; None for an unknown one."""
    return next((kind for kind, one in FORMATS.items() if one.matches(file)), None)


def sniff(path: Path) -> str:
    """The detected format of a file, one of ``FORMATS``.

    Raises:
        PairListError: an unknown format.
    """
    file = ListFile(path)
    if kind := kind_of(file):
        return kind
    if path.is_dir():
        raise PairListError(
            f"{path}: found a folder without 01/same.txt, expected a pair list",
            cure="for CFP name the folder Protocol/Split/FP",
        )
    number, text = file.lines[0]
    raise PairListError(
        f"{path}:{number}: found {text[:80]!r}, expected the start of a pair list",
        cure=f"name its kind: {', '.join(KINDS)}",
    )


def read_pairs(path: Path, *, kind: str | None = None, group_column: str = "group") -> PairList:
    """The pairs of a list of any format.

    Args:
        path: a list, or for CFP the folder ``Protocol/Split/FF`` or ``FP``.
        kind: one of ``KINDS``; None to detect it.
        group_column: group column of a CSV, TSV or JSON-lines file.

    Raises:
        PairListError: ``file:line: found ..., expected ...; cure``, also for a pair that is listed
            as genuine and as impostor.
        UsageError: an unknown kind, or one that lists no pairs of photo files.
    """
    kind = sniff(path) if kind is None else kind
    if kind not in KINDS:
        raise unknown_kind(path, kind)
    found = FORMATS[kind].read(path, group_column)
    assert isinstance(found, PairList)
    return found


def read_people_list(path: Path, kind: str) -> IdentityList:
    """The photos and identities of a list.

    Args:
        path: of the list.
        kind: one of ``PEOPLE_KINDS``.

    Raises:
        PairListError: ``file:line: found ..., expected ...; cure``.
    """
    found = FORMATS[kind].read(path, "group")
    assert isinstance(found, IdentityList)
    return found


def inspect(path: Path, *, kind: str | None = None) -> Inspection:
    """Format and contents of an evaluation list.

    Args:
        path: the file.
        kind: one of ``FORMATS``; None to detect it.

    Raises:
        PairListError: an unknown format, or a damaged file.
        UsageError: an unknown kind.
    """
    kind = sniff(path) if kind is None else kind
    if kind not in FORMATS:
        raise unknown_kind(path, kind)
    found = FORMATS[kind].read(path, "group")
    return Inspection(str(path), kind, FORMATS[kind].title, found.facts, found.notes)


def unknown_kind(path: Path, kind: str) -> UsageError:
    """The error of a kind that lists no pairs."""
    return UsageError(
        f"{path}: found {kind!r}, expected a pair list", cure=f"kinds: {', '.join(KINDS)}"
    )
