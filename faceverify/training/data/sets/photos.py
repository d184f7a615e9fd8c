"""Photos of nobody in particular: all below a folder, or those of a list.

Names are not read. The label of a photo is the number of the folder that it lies in, so that two
photos with one label may be frames of one recording.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from faceverify.errors import ImageError
from faceverify.images.discovery import find_photos, is_photo_name
from faceverify.images.people import no_photo
from faceverify.runtime.text import printable
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.sets.folders import PhotoFiles

LISTS = frozenset({".txt", ".lst", ".list"})


def open_photos(folder: Path) -> FaceSet:
    """Open all photos below a folder, at any depth, sorted by path.

    Raises:
        TrainingError: there are none, or a folder cannot be read.
    """
    root = os.path.join(folder, "")
    photos, foreign = [], []
    try:
        for path in find_photos(folder):
            problem = None if is_photo_name(path.name) else no_photo(path)
            if problem is None:
                photos.append(os.fspath(path)[len(root) :])
            else:
                foreign.append(problem)
    except ImageError as error:
        raise data_error(str(error)) from error
    if not photos:
        found = f"no photo ({foreign[0]})" if foreign else "no photo"
        raise data_error(f"{folder}: found {found}", "name a folder with aligned crops of faces")
    notes = []
    if foreign:
        notes.append(f"{len(foreign)} files are not read as photos: left out ({foreign[0]})")
    return set_of(str(folder), str(folder), photos, notes)


def open_list(path: Path) -> FaceSet:
    """Open the photos of a list: a path in each line, relative to the folder of the list.

    Raises:
        TrainingError: it is empty or no text, or a photo is named twice or missing.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise data_error(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise data_error(f"{path}: no list of photos, it is no text") from error
    folder, photos = str(path.parent), dict[str, int]()
    for number, line in enumerate(lines, 1):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        if name in photos:
            raise data_error(
                f"{path}:{number}: {printable(name)} stands in line {photos[name]} already",
                "name each photo once",
            )
        if not os.path.isfile(os.path.join(folder, name)):
            raise data_error(
                f"{path}:{number}: no such photo: {printable(name)}",
                "give paths relative to the list's folder, one a line",
            )
        photos[name] = number
    if not photos:
        raise data_error(f"{path}: names no photo", "give one path a line")
    return set_of(str(path), folder, list(photos), ())


def set_of(source: str, folder: str, photos: list[str], notes: Sequence[str]) -> FaceSet:
    """Face set of photos, labelled by the folders that they lie in."""
    groups, labels = np.unique([os.path.dirname(one) for one in photos], return_inverse=True)
    return FaceSet(
        source,
        "photos",
        PhotoFiles(folder, photos),
        labels.astype(np.int64).reshape(-1),
        [str(group) for group in groups],
        notes=tuple(notes),
    )
