"""Photos of a folder of people: ``ROOT/PERSON/**/photo``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from faceverify.errors import ImageError
from faceverify.images.discovery import (
    NO_IMAGE,
    Pass,
    first_bytes,
    ignore,
    is_folder,
    is_photo_name,
    listed,
    walk,
)
from faceverify.images.photo import open_photo
from faceverify.runtime.file_kinds import kind_of_file

# fmt: off
# what a folder is called that holds a part of a data set rather than a person
PARTS = frozenset({
    "dev", "development", "eval", "evaluation", "gallery", "probe", "query", "test", "testing",
    "train", "training", "val", "valid", "validation",
})
# fmt: on
FEW = 10  # folders; so few, with more in each, are data sets rather than people with sessions
MOST = 0.5  # of the photos, of one person among several
STRAY = "image-of-nobody"
NESTED = "image-tree"
EMPTY = "image-missing"


class PersonPhoto(NamedTuple):
    """A photo in a folder of people, or the error met in its place.

    Attributes:
        person: name of the first folder below the root; empty for a photo outside all folders.
        path: of the photo; of the person's folder, where the error is about that.
        error: why this is not a photo of a person; None where it is one.
    """

    person: str
    path: Path
    error: ImageError | None = None


def find_people(root: Path, *, passed: Pass | None = None) -> Iterator[PersonPhoto]:
    """Photos of a folder of people, ``ROOT/PERSON/**/photo``, sorted by person, then by path.

    Anything else is yielded in its place with an error, and the walk goes on: a photo outside the
    people's folders (code ``image-of-nobody``), a person's folder without a photo
    (``image-missing``), a folder that cannot be read.

    Args:
        root: the folder.
        passed: called with each file known to be no photo, and each outside the people's folders
            that is none.

    Raises:
        ImageError: the root itself is missing or cannot be read, or its people lie deeper (code
            ``image-tree``).
    """
    around = frozenset({os.path.realpath(root)})
    passed = passed or ignore
    require_people(root)
    for entry in listed(root):
        path = root / entry.name
        if is_folder(entry):
            problems: list[ImageError] = []
            found = False
            for photo in walk(path, around, problems.append, passed):
                yield PersonPhoto(entry.name, photo)
                found = True
            if not found and not problems:
                problems.append(ImageError(f"{path}: no photos in it", code=EMPTY))
            for problem in problems:
                yield PersonPhoto(entry.name, path, problem)
        elif is_photo_name(entry.name) or holds_picture(path):
            problem = ImageError(
                f"{path}: lies in no person's folder", cure="move it into one", code=STRAY
            )
            yield PersonPhoto("", path, problem)
        else:
            passed(path)


def holds_picture(path: Path) -> bool:
    """Whether the content of a file is that of a photo, be it one that cannot be read here."""
    kind = os.path.isfile(path) and kind_of_file(first_bytes(path))
    return bool(kind and kind.picture)


def require_people(root: Path) -> None:
    """Refuse a root whose folders are data sets or parts of one, and no people.

    A person's photos may lie in folders of their own, such as one a session, and which of the two
    it is cannot always be told. Told are: folders of folders that are called ``train`` or the like;
    one that holds all others; a few that hold more folders each than they are, with other names.

    Raises:
        ImageError: code ``image-tree``, naming a folder of people; or the root cannot be read.
    """
    names = [entry.name for entry in listed(root) if is_folder(entry)]
    for name in names:
        below = [name, *(f"{name}/{one}" for one in _only_folders(root / name)[:1])]
        for part in below:
            if os.path.basename(part).lower() in PARTS and _only_folders(root / part):
                raise _nested(root, part)
    if len(names) >= FEW:
        return
    inside = [_only_folders(root / name) for name in names]
    if len(names) == 1:
        only = names[0]
        while len(folders := _only_folders(root / only)) == 1:
            only = f"{only}/{folders[0]}"
        if folders:
            raise _nested(root, only)
    lower = Counter(folder for folders in inside for folder in folders)
    if names and len(names) < min(map(len, inside)) and 2 * len(lower) > lower.total():
        raise _nested(root, names[0])


def _only_folders(folder: Path) -> list[str]:
    """Names of the folders in a folder; none where a photo lies beside them."""
    try:
        entries = listed(folder)
    except ImageError:  # finding its photos will say so
        return []
    for entry in entries:
        if not is_folder(entry) and (
            is_photo_name(entry.name) or holds_picture(folder / entry.name)
        ):
            return []
    return [entry.name for entry in entries if is_folder(entry)]


def _nested(root: Path, inside: str) -> ImageError:
    """The error of a root whose people lie in a folder inside it."""
    people = root / inside
    return ImageError(
        f"{root}: found folders of folders ({len(_only_folders(people))} in {inside}), expected a "
        "folder a person, with photos in it",
        cure=f"name the folder of the people, such as {people}; a person's photos, where that is "
        "a person, belong directly into the person's folder",
        code=NESTED,
    )


@dataclass(eq=False)
class People:
    """The photos of a folder of people, with their names.

    Attributes:
        photos: files, N.
        names: the person on each, N.
        outside: number of photos outside the people's folders.
        empty: people whose folder holds no photo, sorted.
        foreign: files in people's folders that are not read as photos, such as videos, and why.
    """

    photos: list[Path] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    outside: int = 0
    empty: list[str] = field(default_factory=list)
    foreign: list[PersonPhoto] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """What was left out, and signs of a wrong tree, one line for each kind."""
        notes = []
        if self.outside:
            notes.append(f"{self.outside} photos lie in no person's folder: left out")
        if self.foreign:
            count, first = len(self.foreign), self.foreign[0].error
            notes.append(f"{count} files are not read as photos: left out ({first})")
        ((person, most),) = Counter(self.names).most_common(1) or [("", 0)]
        if most > max(FEW, MOST * len(self.names)) and most < len(self.names):
            notes.append(
                f"{person} has {most:,} of the {len(self.names):,} photos: is that one person?"
            )
        return notes

    @property
    def lack(self) -> str:
        """What a folder without photos of people holds instead, for a message."""
        if self.outside:
            return f"{self.outside} photos outside any person's folder"
        return f"no photos ({self.foreign[0].error})" if self.foreign else "no photos"


def read_people(root: Path) -> People:
    """The photos of a folder of people; what :func:`find_people` refuses is counted.

    A file whose name is no photo's is opened: one that is none, or in a format that is not read
    here, is counted, too.

    Raises:
        ImageError: a folder is missing or cannot be read.
    """
    people, folders = People(), dict[str, None]()
    for one in find_people(root):
        if one.person:
            folders[one.person] = None
        if one.error is None:
            problem = None if is_photo_name(one.path.name) else no_photo(one.path)
            if problem is None:
                people.photos.append(one.path)
                people.names.append(one.person)
            else:
                people.foreign.append(one._replace(error=problem))
        elif one.error.code == STRAY:
            people.outside += 1
        elif one.error.code == NO_IMAGE:
            people.foreign.append(one)
        elif one.error.code != EMPTY:
            raise one.error
    people.empty = sorted(folders.keys() - set(people.names))
    return people


def no_photo(path: Path) -> ImageError | None:
    """Why a file is no photo that is read here; None for a photo, be it a damaged one."""
    try:
        open_photo(path)
    except ImageError as error:
        if error.code in (NO_IMAGE, "image-format", "image-empty"):
            return error
    return None
