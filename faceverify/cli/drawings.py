"""A folder of drawings: every photo's own place in it, and no file ever overwritten."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from faceverify.errors import OutputError
from faceverify.faces.drawing import drawn
from faceverify.images.inputs import PhotoInput
from faceverify.runtime.files import atomic_write
from faceverify.runtime.folders import check_apart, make_folder
from faceverify.runtime.name_set import PhotoSet

if TYPE_CHECKING:
    from faceverify.faces.finder import FoundFace

JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")


class Drawings:
    """Writes photos with their faces drawn into a folder.

    Raises:
        UsageError: the folder lies in one that is searched for photos.
    """

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        self._folder = folder
        check_apart(folder, arguments, "--draw")

    def placed(self, photos: Iterator[PhotoInput]) -> Iterator[PhotoInput]:
        """Give each photo a place of its own; one whose place is taken gets an error."""
        taken = PhotoSet()
        for photo in photos:
            place = Path(photo.place)
            if place.suffix.lower() not in (*JPEG, ".png"):
                place = place.with_name(f"{place.name}.png")
            if photo.error is not None:
                yield photo
                continue
            target = self._folder / place
            error = None
            if not taken.add(str(place)):
                error = OutputError(
                    f"{photo.name}: its drawing would have the place of another's, {target}",
                    cure="name a folder around both photos, or draw them one after the other",
                    code="output-collision",
                )
            elif os.path.lexists(target):
                error = OutputError(
                    f"{photo.name}: its drawing would overwrite {target}",
                    cure="remove that, or draw into an empty folder",
                    code="output-collision",
                )
            yield replace(photo, place=str(place), error=error)

    def write(self, photo: PhotoInput, faces: list[FoundFace]) -> Path:
        """Draw and write; return the file. OutputError where it cannot be written."""
        first = faces[0]
        marked = drawn(first.image, [found.face.moved(0, 0, 1 / first.scale) for found in faces])
        target = self._folder / photo.place
        encoded = BytesIO()
        if target.suffix.lower() in JPEG:
            marked.save(encoded, "JPEG", quality=92)
        else:
            marked.save(encoded, "PNG")
        make_folder(target.parent)
        atomic_write(target, encoded.getvalue())
        return target
