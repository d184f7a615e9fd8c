"""Photo discovery: all photos below a folder, and those of a folder of people."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from faceverify.errors import ImageError
from faceverify.images.photo import cannot_read, open_photo
from faceverify.runtime.file_kinds import HEAD, TEXT, WEB_PAGE, is_text, kind_of_file

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
NO_IMAGE = "image-not-an-image"

# fmt: off
EXTENSIONS = frozenset({
    ".avif", ".bmp", ".dib", ".gif", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg",
    ".jpx", ".mpo", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi", ".sgi", ".tga",
    ".tif", ".tiff", ".webp",
})
# fmt: on


# Beside photos, and known to be none: what systems and programs keep there, and our own results.
NO_PHOTOS = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "photothumb.db"})
RESULTS = frozenset({".npz", ".npy", ".onnx", ".parquet"})
TEXTS = frozenset({".csv", ".json", ".jsonl", ".log", ".md", ".tsv", ".txt", ".xml", ".xmp"})

Refuse = Callable[[ImageError], None]
Pass = Callable[[Path], None]


def find_photos(
    root: Path, *, refuse: Refuse | None = None, passed: Pass | None = None
) -> Iterator[Path]:
    """Paths of all photos below a folder, in order of their names.

    Every file is yielded but those known to be no photo (:func:`may_be_photo`): opening it tells
    why it cannot be used. Names that begin with a dot are skipped. Links are followed, but not into
    a folder that contains them. A broken link is yielded, so that opening it reports it.

    Args:
        refuse: called with the error of each folder that cannot be read, and of each pipe or
            device; the walk goes on.
        passed: called with each file known to be no photo.

    Raises:
        ImageError: such an error, where ``refuse`` is not given; the root is missing.
    """
    return _walk(root, frozenset(), refuse or _raise, passed or _ignore)


def _raise(error: ImageError) -> None:
    raise error


def _ignore(_path: Path) -> None:
    pass


def _walk(folder: Path, around: frozenset[str], refuse: Refuse, passed: Pass) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in around:
        return
    try:
        entries = _listed(folder)
    except ImageError as error:
        refuse(error)
        return
    for entry in entries:
        path = folder / entry.name
        if _is_folder(entry):
            yield from _walk(path, around | {real}, refuse, passed)
        elif _is_special(entry):  # opening it might wait forever
            refuse(ImageError(f"{path}: a pipe, socket or device, not an image", code=NO_IMAGE))
        elif may_be_photo(entry.name, partial(first_bytes, path)):
            yield path
        else:
            passed(path)


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            shown = [entry for entry in listing if not entry.name.startswith(".")]
    except OSError as problem:
        raise cannot_read(str(folder), problem) from problem
    return sorted(shown, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # isdir, unlike is_dir, is False for a circle of links; only links cost a system call
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry))


def _is_special(entry: os.DirEntry[str]) -> bool:
    if entry.is_file(follow_symlinks=False):
        return False
    return not os.path.isfile(entry) and os.path.exists(entry)


def may_be_photo(name: str, read: Callable[[], bytes]) -> bool:
    """Whether a file may be a photo; those that cannot are a short list, decided by their content.

    Args:
        name: of the file. With the extension of a photo, it is never looked into here: what is
            wrong with it is told when it is opened.
        read: gives its first bytes.

    Returns:
        False for text (lists, sidecars), thumbnails and settings of systems, and our own results.
    """
    if is_photo_name(name):
        return True
    if name.lower() in NO_PHOTOS:
        return False
    head = read()
    kind = kind_of_file(head)
    if kind is not None and kind.picture:
        return True
    suffix = os.path.splitext(name)[1].lower()
    if suffix in TEXTS and (not head or is_text(head)):
        return False
    return kind not in (TEXT, WEB_PAGE) and suffix not in RESULTS


def first_bytes(path: Path) -> bytes:
    """First bytes of a file; none where it cannot be read, which opening it reports."""
    try:
        with open(path, "rb", buffering=0) as stream:
            return stream.read(HEAD)
    except OSError:
        return b""


def is_photo_name(name: str) -> bool:
    """Whether a file name has the extension of a photo."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS


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
    passed = passed or _ignore
    require_people(root)
    for entry in _listed(root):
        path = root / entry.name
        if _is_folder(entry):
            problems: list[ImageError] = []
            found = False
            for photo in _walk(path, around, problems.append, passed):
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
    names = [entry.name for entry in _listed(root) if _is_folder(entry)]
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
        entries = _listed(folder)
    except ImageError:  # finding its photos will say so
        return []
    for entry in entries:
        if not _is_folder(entry) and (
            is_photo_name(entry.name) or holds_picture(folder / entry.name)
        ):
            return []
    return [entry.name for entry in entries if _is_folder(entry)]


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
