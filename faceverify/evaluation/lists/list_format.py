"""The interface of list formats: detection and reading of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from faceverify.evaluation.lists.rows import Lines, read_lines

HEAD = 200  # lines used for detection


class Listing:
    """Contents of an evaluation list."""

    @property
    def facts(self) -> dict[str, int]:
        """Counts by name, in printing order."""
        raise NotImplementedError

    @property
    def notes(self) -> list[str]:
        """Caveats, one line each."""
        return []


@dataclass(frozen=True)
class ListFile:
    """A file or folder whose format is to be detected.

    Args:
        path: the file or folder.
        size: bytes of it to look at, from its start; -1 for all.

    Raises:
        PairListError: on access to the lines of a file that is not text.
    """

    path: Path
    size: int = -1

    @property
    def suffix(self) -> str:
        """File extension, in lower case; empty for a folder."""
        return "" if self.path.is_dir() else self.path.suffix.lower()

    @cached_property
    def lines(self) -> Lines:
        """Lines that are not blank; none for a folder."""
        return [] if self.path.is_dir() else read_lines(self.path, size=self.size)

    @cached_property
    def head(self) -> list[list[str]]:
        """Fields of the first lines; one line without fields for a folder."""
        return [text.split() for _, text in self.lines[:HEAD]] or [[]]

    @property
    def numeric(self) -> bool:
        """Whether the first line holds only numbers."""
        return bool(self.head[0]) and all(field.isdigit() for field in self.head[0])

    @property
    def tabs(self) -> bool:
        """Whether fields are separated by tabs."""
        return bool(self.lines) and "\t" in self.lines[-1][1]


@dataclass(frozen=True)
class ListFormat:
    """A format of evaluation lists.

    Args:
        kind: name, as ``--kind`` takes it.
        title: description.
        matches: whether a file has this format, given that no earlier format matched.
        read: from a path and the name of the group column (tables only) to the contents.
        pairs: whether the contents are pairs of photo files.
        people: whether the contents are photo files with identities.
    """

    kind: str
    title: str
    matches: Callable[[ListFile], bool]
    read: Callable[[Path, str], Listing]
    pairs: bool = True
    people: bool = False
