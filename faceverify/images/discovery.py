"""Which photos there are: all below a folder, and those of a folder of people."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from faceverify.errors import ImageError
from faceverify.images.photo import cannot_read

STRAY = "image-of-nobody"
EMPTY = "image-missing"

# fmt: off
EXTENSIONS = frozenset({
    ".avif", ".bmp", ".dib", ".gif", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg",
    ".jpx", ".mpo", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi", ".sgi", ".tga",
    ".tif", ".tiff", ".webp",
})
# fmt: on


def find_photos(
    root: Path, *, unreadable: Callable[[ImageError], None] | None = None
) -> Iterator[Path]:
    """Yield every photo below a folder, known by its extension, in the same order every time.

    Names that begin with a dot are skipped. Links are followed, but not into a folder around them.
    A link to nowhere is yielded: opening it reports a missing photo, skipping it would hide one.

    Args:
        unreadable: called with the error of each folder that cannot be read; the walk goes on.

    Raises:
        ImageError: a folder is missing or cannot be read, where ``unreadable`` is not given.
    """
    return _walk(root, frozenset(), unreadable)


def _walk(
    folder: Path, around: frozenset[str], unreadable: Callable[[ImageError], None] | None
) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in around:
        return
    try:
        entries = _listed(folder)
    except ImageError as error:
        if unreadable is None:
            raise
        unreadable(error)
        return
    for entry in entries:
        if _is_folder(entry):
            yield from _walk(folder / entry.name, around | {real}, unreadable)
        elif is_photo_name(entry.name):
            yield folder / entry.name


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            shown = [entry for entry in listing if not entry.name.startswith(".")]
    except OSError as problem:
        raise cannot_read(str(folder), problem) from problem
    return sorted(shown, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # isdir, unlike is_dir, takes a circle of links for no folder; only links cost a look
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry))


def is_photo_name(name: str) -> bool:
    """Whether a file of this name is taken for a photo, by its extension."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS


class PersonPhoto(NamedTuple):
    """A photo in a folder of people; or what is wrong, in the place where it is met.

    Attributes:
        person: name of the first folder below the root; empty for a photo that lies in none.
        path: of the photo; of the person's folder, where that is what something is wrong with.
        error: why this is no photo of a person; None where it is one.
    """

    person: str
    path: Path
    error: ImageError | None = None


def find_people(root: Path) -> Iterator[PersonPhoto]:
    """Yield the photos of ``ROOT/PERSON/**/photo``, in the order of people, then of paths.

    What is no photo of a person comes in its place, with an error, and the walk goes on: a photo
    that lies in no person's folder (code ``image-of-nobody``), a person's folder without a photo
    (``image-missing``), a folder that cannot be read.

    Raises:
        ImageError: the root itself is missing or cannot be read.
    """
    around = frozenset({os.path.realpath(root)})
    for entry in _listed(root):
        path = root / entry.name
        if _is_folder(entry):
            problems: list[ImageError] = []
            found = False
            for photo in _walk(path, around, problems.append):
                yield PersonPhoto(entry.name, photo)
                found = True
            if not found and not problems:
                problems.append(ImageError(f"{path}: no photos in it", code=EMPTY))
            for problem in problems:
                yield PersonPhoto(entry.name, path, problem)
        elif is_photo_name(entry.name):
            problem = ImageError(
                f"{path}: lies in no person's folder", cure="move it into one", code=STRAY
            )
            yield PersonPhoto("", path, problem)


@dataclass(eq=False)
class People:
    """All of a folder of people.

    Attributes:
        photos: files, N.
        names: who is on each, N.
        outside: how many photos lie in no person's folder.
        empty: people whose folder holds no photo, in order.
    """

    photos: list[Path] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    outside: int = 0
    empty: list[str] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """What was left out, one line each."""
        if not self.outside:
            return []
        return [f"{self.outside} photos lie in no person's folder: left out"]

    @property
    def lack(self) -> str:
        """What a folder without photos of people holds, in few words."""
        return f"{self.outside} photos outside any person's folder" if self.outside else "no photos"


def read_people(root: Path) -> People:
    """Take all photos of a folder of people, and count what :func:`find_people` says is none.

    Raises:
        ImageError: a folder is missing or cannot be read.
    """
    people = People()
    for one in find_people(root):
        if one.error is None:
            people.photos.append(one.path)
            people.names.append(one.person)
        elif one.error.code == STRAY:
            people.outside += 1
        elif one.error.code == EMPTY:
            people.empty.append(one.person)
        else:
            raise one.error
    return people
