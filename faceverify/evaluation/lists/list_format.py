"""What a format of lists is: how its files are told from others, and how one is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from faceverify.evaluation.lists.rows import Lines, read_lines

HEAD = 200  # lines that tell a kind


class Listing:
    """What a file of an evaluation holds."""

    @property
    def facts(self) -> dict[str, int]:
        """Counts by name, in the order to print."""
        raise NotImplementedError

    @property
    def notes(self) -> list[str]:
        """What a user should know before trusting figures from it, one line each."""
        return []


@dataclass(frozen=True)
class ListFile:
    """A file or folder whose format is not known yet.

    Raises:
        PairListError: its lines are asked for, and it is no text file.
    """

    path: Path

    @property
    def suffix(self) -> str:
        """Of a file, in lower case; empty for a folder."""
        return "" if self.path.is_dir() else self.path.suffix.lower()

    @cached_property
    def lines(self) -> Lines:
        """All lines that are not blank; none of a folder."""
        return [] if self.path.is_dir() else read_lines(self.path)

    @cached_property
    def head(self) -> list[list[str]]:
        """The fields of the first lines; one line without fields for a folder."""
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
    """One format of lists.

    Args:
        kind: its name, as ``--kind`` takes it.
        title: in words.
        matches: whether a file is of this format; asked only when no format before it matched.
        read: from a path, and the name of the column that holds groups (of tables alone), to what
            the file holds.
        pairs: whether that is pairs of photo files.
    """

    kind: str
    title: str
    matches: Callable[[ListFile], bool]
    read: Callable[[Path, str], Listing]
    pairs: bool = True
