"""Writing folders of people."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path

from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.folders import COLUMNS_FILE
from faceverify.training.data.writers.written_face import WrittenFace, checked_name, extension


def write_folders(folder: Path, faces: Iterable[WrittenFace]) -> None:
    """Write ``FOLDER/PERSON/NAME.jpg``, and ``labels.csv`` where images have further values.

    Args:
        folder: an empty folder.
        faces: in any order.

    Raises:
        TrainingError: the name of a person cannot be a folder, or two images have one name.
        OSError: a file cannot be written.
    """
    numbers: dict[str, int] = {}
    rows: list[list[str]] = []
    for face in faces:
        person = checked_name(face.identity)
        number = numbers.get(person, 0)
        if not number:
            (folder / person).mkdir(exist_ok=True)
        numbers[person] = number + 1
        path = folder / person / f"{face.stem or f'{number:06d}'}{extension(face.image)}"
        if face.stem:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(path, "xb") as stream:
                stream.write(face.image)
        except FileExistsError as error:
            raise data_error(
                f"two images of {person} would be called {path.name}", "rename one of them"
            ) from error
        if face.values:
            if not rows:
                rows.append(["path", *face.values])
            name = path.relative_to(folder).as_posix()
            rows.append([name, *(repr(value) for value in face.values.values())])
    if rows:
        with open(os.path.join(folder, COLUMNS_FILE), "w", newline="", encoding="utf-8") as table:
            csv.writer(table).writerows(rows)
