"""A folder of people: ``FOLDER/PERSON/**/photo.jpg``.

A file ``FOLDER/labels.csv`` may have attributes of the photos: a column ``path``, relative to the
folder, then one column of numbers for each attribute (an age, an angle).
"""

from __future__ import annotations

import csv
import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import ImageError
from faceverify.images.people import read_people
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import FaceSet

COLUMNS_FILE = "labels.csv"


@dataclass(frozen=True, eq=False)
class PhotoFiles:
    """Images in separate files.

    Args:
        folder: of the set.
        paths: relative to the folder, N.
    """

    folder: str
    paths: list[str]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> bytes:
        """Return an encoded image; ImageError where the file cannot be read."""
        path = self.name(index)
        try:
            with open(path, "rb") as stream:
                return stream.read()
        except OSError as error:
            code = "image-missing" if isinstance(error, FileNotFoundError) else "image-unreadable"
            raise ImageError(f"{path}: cannot be read ({error.strerror})", code=code) from error

    def name(self, index: int) -> str:
        """Path of an image."""
        return os.path.join(self.folder, self.paths[index])

    def stamp(self) -> str:
        """Hash of path, size and modification time of each file."""
        found = hashlib.sha256()
        for index in range(len(self.paths)):
            try:
                status = os.stat(self.name(index))
                state = f"{status.st_size} {status.st_mtime_ns}"
            except OSError:  # reading it will say so
                state = "missing"
            found.update(os.fsencode(f"{self.paths[index]}\0{state}\0"))
        return found.hexdigest()


def open_folders(folder: Path) -> FaceSet:
    """Open a folder of people, sorted by name and path.

    Raises:
        TrainingError: it has no photos in folders of people, or its ``labels.csv`` is invalid.
    """
    try:
        people = read_people(folder)
    except ImageError as error:
        raise data_error(str(error)) from error
    if not people.photos:
        raise data_error(f"{folder}: found {people.lack}", "lay them as FOLDER/PERSON/photo.jpg")
    root = os.path.join(folder, "")
    paths = [os.fspath(photo)[len(root) :] for photo in people.photos]
    identities = sorted(set(people.names))
    number = {name: label for label, name in enumerate(identities)}
    labels = np.fromiter((number[name] for name in people.names), np.int64, len(paths))
    notes = people.notes
    if people.empty:
        shown = ", ".join(people.empty[:3])
        notes.append(f"{len(people.empty)} people have no photo ({shown}): left out")
    return FaceSet(
        str(folder),
        "folders",
        PhotoFiles(str(folder), paths),
        labels,
        identities,
        read_columns(folder / COLUMNS_FILE, paths),
        tuple(notes),
    )


def read_columns(path: Path, photos: list[str]) -> dict[str, NDArray[np.float64]]:
    """Read attributes of photos: by column, (N,) each; empty if the file does not exist.

    Args:
        path: a CSV file with a header, whose first column is ``path``.
        photos: paths as in the file, N.

    Raises:
        TrainingError: a photo is not listed, or a value is not a number.
    """
    try:
        stream = open(path, newline="", encoding="utf-8-sig")  # noqa: SIM115  closed below
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise data_error(f"{path}: cannot be read ({error.strerror})") from error
    values: dict[str, list[float]] = {}
    with stream:
        try:
            rows = csv.reader(stream)
            header = next(rows, [])
            if header[:1] != ["path"] or len(set(header)) != len(header) or len(header) < 2:
                raise data_error(
                    f"{path}:1: found {','.join(header)[:80]!r}", "begin it with path,NAME"
                )
            for row in rows:
                if row:
                    values[row[0]] = _numbers(path, rows.line_num, row[1:], len(header) - 1)
        except (csv.Error, UnicodeDecodeError) as error:
            raise data_error(f"{path}: is no CSV file ({error})") from error
    missing = [photo for photo in photos if photo.replace(os.sep, "/") not in values]
    if missing:
        raise data_error(
            f"{path}: has no line for {len(missing)} of {len(photos)} photos ({missing[0]})",
            "add them",
        )
    table = np.array([values[photo.replace(os.sep, "/")] for photo in photos], np.float64)
    return {name: table[:, column].copy() for column, name in enumerate(header[1:])}


def _numbers(path: Path, line: int, fields: list[str], count: int) -> list[float]:
    try:
        numbers = [float(value) for value in fields]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise data_error(f"{path}:{line}: found {fields}", f"give {count} finite numbers")
    return numbers
