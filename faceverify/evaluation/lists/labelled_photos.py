"""Photos with labels: a folder with a folder a label, or a table of photos and labels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from faceverify.errors import PairListError
from faceverify.evaluation.lists.rows import table_error
from faceverify.images.people import read_people
from faceverify.runtime.headed_table import OF_PHOTOS, headed_rows
from faceverify.runtime.text import shown

COLUMNS = {
    "photo": OF_PHOTOS,
    "label": ("label", "class", "category", "target"),
}
PERSON = {"person": ("person", "name", "identity", "id")}


@dataclass(frozen=True, eq=False)
class LabelledPhotos:
    """N photos and their labels.

    Args:
        photos: files, N.
        names: as listed, N.
        labels: N.
        people: on each photo, N; empty where they are not known.
        notes: caveats, one line each.
    """

    photos: list[Path]
    names: list[str]
    labels: list[str]
    people: list[str]
    notes: tuple[str, ...] = ()


def read_label_folder(folder: Path) -> LabelledPhotos:
    """Photos of ``FOLDER/LABEL/**/PHOTO``.

    Raises:
        ImageError: the folder is missing or cannot be read.
        PairListError: it holds no photos in folders.
    """
    found = read_people(folder)
    if not found.photos:
        raise PairListError(
            f"{folder}: found {found.lack}, expected one folder a label",
            cure="FOLDER/LABEL/photo.jpg",
        )
    names = [str(photo) for photo in found.photos]
    return LabelledPhotos(found.photos, names, found.names, [], tuple(found.notes))


def read_label_table(
    path: Path, *, images: Path | None = None, check_files: bool = True
) -> LabelledPhotos:
    """Photos of a table with the columns photo and label, and perhaps person.

    Args:
        path: the table.
        images: folder that its paths are relative to; None for its own.
        check_files: whether a missing photo is an error.

    Raises:
        PairListError: it is no such table, or a photo is missing or listed twice.
    """
    root = path.parent if images is None else images
    lines, photos, labels, people = dict[str, int](), list[Path](), list[str](), list[str]()
    for line, cells in headed_rows(path, COLUMNS, PERSON, complain=table_error):
        for role, value in cells.items():
            if not value:
                raise table_error(f"{path}:{line}: has no {role}", "fill it in, or remove the line")
        name = os.path.normpath(cells["photo"])
        if name in lines:
            raise table_error(
                f"{path}:{line}: {shown(name)} stands in line {lines[name]} already",
                "name each photo once",
            )
        if check_files and not (root / name).is_file():
            raise table_error(
                f"{path}:{line}: no such photo: {shown(name)}",
                "give paths relative to the table's folder, or --images ROOT",
            )
        lines[name] = line
        photos.append(root / name)
        labels.append(cells["label"])
        people += [cells["person"]] if "person" in cells else []
    if not photos:
        raise table_error(f"{path}: names no photo", "give a photo and its label in each line")
    return LabelledPhotos(photos, list(lines), labels, people)
