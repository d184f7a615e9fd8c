"""Photo discovery: all photos below a folder, and which files are none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from faceverify.errors import ImageError
from faceverify.images.photo import cannot_read
from faceverify.runtime.file_kinds import HEAD, TEXT, WEB_PAGE, is_text, kind_of_file

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
SIDECARS = frozenset({".aae"})  # of Apple's editor, as a rule text
# what archives and storage servers keep beside photos: thumbnails and the like
HIDDEN_FOLDERS = frozenset({"@eadir", "__macosx", "$recycle.bin", "system volume information"})
TEXTS = frozenset({".csv", ".json", ".jsonl", ".log", ".md", ".tsv", ".txt", ".xml", ".xmp"})

Refuse = Callable[[ImageError], None]
Pass = Callable[[Path], None]


def find_photos(
    root: Path, *, refuse: Refuse | None = None, passed: Pass | None = None
) -> Iterator[Path]:
    """Paths of all photos below a folder, in order of their names.

    Every file is yielded but those known to be no photo (:func:`may_be_photo`): opening it tells
    why it cannot be used. Names that begin with a dot, and HIDDEN_FOLDERS, are skipped. Links are
    followed, but not into a folder that contains them. A broken link is yielded, so that
    opening it reports it.

    Args:
        refuse: called with the error of each folder that cannot be read, and of each pipe or
            device; the walk goes on.
        passed: called with each file known to be no photo.

    Raises:
        ImageError: such an error, where ``refuse`` is not given; the root is missing.
    """
    return walk(root, frozenset(), refuse or _raise, passed or ignore)


def _raise(error: ImageError) -> None:
    raise error


def ignore(_path: Path) -> None:
    """Do nothing with a file that is no photo."""


def walk(folder: Path, around: frozenset[str], refuse: Refuse, passed: Pass) -> Iterator[Path]:
    """Photos below a folder, but for the real paths around it; see :func:`find_photos`."""
    real = os.path.realpath(folder)
    if real in around:
        return
    try:
        entries = listed(folder)
    except ImageError as error:
        refuse(error)
        return
    for entry in entries:
        path = folder / entry.name
        if is_folder(entry):
            yield from walk(path, around | {real}, refuse, passed)
        elif _is_special(entry):  # opening it might wait forever
            refuse(ImageError(f"{path}: a pipe, socket or device, not an image", code=NO_IMAGE))
        elif may_be_photo(entry.name, partial(first_bytes, path)):
            yield path
        else:
            passed(path)


def listed(folder: Path) -> list[os.DirEntry[str]]:
    """Entries of a folder, by name, less the hidden ones; ImageError if it is unreadable."""
    try:
        with os.scandir(folder) as listing:
            shown = [entry for entry in listing if not _is_hidden(entry.name)]
    except OSError as problem:
        raise cannot_read(str(folder), problem) from problem
    return sorted(shown, key=lambda entry: entry.name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in HIDDEN_FOLDERS


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one."""
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
    return kind not in (TEXT, WEB_PAGE) and suffix not in RESULTS | SIDECARS


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
