"""CUB-200-2011: Wah et al., 2011; https://www.vision.caltech.edu/datasets/cub_200_2011.

``images.txt`` (``ID PATH``), ``image_class_labels.txt`` (``ID CLASS``) and, for a split,
``train_test_split.txt`` (``ID IS_TRAINING``) lie in one folder, the photos below its ``images``.
"""

from __future__ import annotations

from pathlib import Path

from faceverify.evaluation.lists.identity_list import (
    Entry,
    IdentityList,
    identity_format,
    identity_list,
)
from faceverify.evaluation.lists.list_format import ListFile
from faceverify.evaluation.lists.rows import read_lines, wrong_line

LIST, LABELS, SPLIT, IMAGES = (
    "images.txt",
    "image_class_labels.txt",
    "train_test_split.txt",
    "images",
)


def is_cub(path: Path) -> bool:
    """Whether a folder, or a list in it, is laid out like CUB."""
    folder = path if path.is_dir() else path.parent
    named = path.is_dir() or path.name == LIST
    return named and (folder / LIST).is_file() and (folder / LABELS).is_file()


def cub(path: Path) -> IdentityList:
    """The list of the folder, or of its ``images.txt``.

    Raises:
        PairListError: ``file:line: found ..., expected ...``, also for a photo without a class.
    """
    folder = path if path.is_dir() else path.parent
    photos = _by_id(folder / LIST, "ID PATH")
    classes = _by_id(folder / LABELS, "ID CLASS")
    split = _by_id(folder / SPLIT, "ID 0|1") if (folder / SPLIT).is_file() else None
    entries = []
    for number, (line, photo) in photos.items():
        training = None
        for values, name in ((classes, LABELS), (split, SPLIT)):
            if values is not None and number not in values:
                raise wrong_line(
                    folder / LIST, line, f"photo {number}", f"a line of it in {name}", "add it"
                )
        if split is not None:
            place, value = split[number]
            if value not in ("0", "1"):
                raise wrong_line(folder / SPLIT, place, repr(value), "0 or 1", "correct the line")
            training = value == "1"
        entries.append(Entry(photo, classes[number][1], training))
    root = folder / IMAGES if (folder / IMAGES).is_dir() else folder
    return identity_list(folder / LIST, "cub", root, entries)


def _by_id(path: Path, expected: str) -> dict[str, tuple[int, str]]:
    """Line and value of each id."""
    found: dict[str, tuple[int, str]] = {}
    for line, text in read_lines(path):
        fields = text.split(None, 1)
        if len(fields) != 2:
            raise wrong_line(path, line, repr(text), expected, "correct the line")
        if fields[0] in found:
            raise wrong_line(path, line, f"id {fields[0]} again", "each id once", "remove one")
        found[fields[0]] = (line, fields[1])
    return found


def _matches(file: ListFile) -> bool:
    return is_cub(file.path)


FORMAT = identity_format("cub", "CUB-200-2011: images, classes and split", _matches, cub)
