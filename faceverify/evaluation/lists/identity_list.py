"""Lists of photos with identities or classes, and perhaps a split into training and test photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from faceverify.choices import Classes
from faceverify.errors import PairListError
from faceverify.evaluation.lists.list_format import ListFile, ListFormat, Listing


class Entry(NamedTuple):
    """A listed photo.

    Args:
        photo: path, as listed.
        identity: person or class.
        training: whether it is for training; None in a list without a split.
    """

    photo: str
    identity: str
    training: bool | None = None


@dataclass(frozen=True, eq=False)
class IdentityList(Listing):
    """A list of N photos with identities.

    Args:
        source: the file or folder.
        kind: one of ``FORMATS``.
        root: folder of the photos, unless another is named.
        entries: N.
    """

    source: str
    kind: str
    root: Path
    entries: tuple[Entry, ...]

    @property
    def training(self) -> list[bool] | None:
        """Whether each photo is for training, N; None for a list without a split."""
        split = [bool(one.training) for one in self.entries]
        return None if self.entries[0].training is None else split

    @property
    def facts(self) -> dict[str, int]:
        """Counts by name, in printing order."""
        facts = {"images": len(self.entries), "people": len({one.identity for one in self.entries})}
        if self.training is not None:
            facts["training images"] = sum(self.training)
            facts["test images"] = len(self.entries) - sum(self.training)
        return facts

    def of_classes(self, classes: Classes) -> IdentityList:
        """The list with some of its classes.

        Raises:
            PairListError: it has one class alone.
        """
        kept = set(classes_of([one.identity for one in self.entries], classes, self.source))
        entries = tuple(one for one in self.entries if one.identity in kept)
        return IdentityList(self.source, self.kind, self.root, entries)


def classes_of(identities: Iterable[str], classes: Classes, source: str) -> list[str]:
    """Names of the classes to evaluate, sorted, by their numbers where all are numbers.

    Raises:
        PairListError: half of one class is asked for.
    """
    names = sorted(set(identities))
    if all(name.isascii() and name.isdigit() for name in names):
        names.sort(key=int)
    if classes is Classes.ALL:
        return names
    if len(names) < 2:
        raise PairListError(f"{source}: found one class, expected two to take the last half of")
    return names[len(names) // 2 :]


def identity_list(path: Path, kind: str, root: Path, entries: Iterable[Entry]) -> IdentityList:
    """A list of its entries.

    Raises:
        PairListError: no photo, a photo twice, or a split of some photos alone.
    """
    kept = tuple(entries)
    if not kept:
        raise PairListError(f"{path}: found no photos, expected at least one")
    known: dict[str, str] = {}
    for one in kept:
        if one.photo in known:
            raise PairListError(
                f"{path}: found {one.photo} twice, as {known[one.photo]} and as {one.identity}",
                cure="list each photo once",
            )
        known[one.photo] = one.identity
    if len({one.training is None for one in kept}) > 1:
        raise PairListError(
            f"{path}: found photos with and without a split",
            cure="give a split for all or for none",
        )
    return IdentityList(str(path), kind, root, kept)


def identity_format(
    kind: str,
    title: str,
    matches: Callable[[ListFile], bool],
    read: Callable[[Path], IdentityList],
) -> ListFormat:
    """A format of lists of photos with identities."""
    return ListFormat(kind, title, matches, lambda path, _: read(path), pairs=False, people=True)
