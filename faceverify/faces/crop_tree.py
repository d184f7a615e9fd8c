"""A tree of photos and the same tree of aligned crops."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from PIL import Image

from faceverify.errors import OutputError, UsageError
from faceverify.faces.alignment import Alignment, named_alignment
from faceverify.faces.finder import FULL_DETAIL, FaceFinder, FoundFace
from faceverify.images.inputs import PhotoInput, find_inputs
from faceverify.images.photo import open_photo
from faceverify.runtime.files import atomic_write
from faceverify.runtime.folders import check_apart, make_folder
from faceverify.runtime.name_set import PhotoSet

RECORD = ".faceverify-align.json"  # in the folder of crops: how they were cut


@dataclass(frozen=True)
class Crop:
    """A photo's crop.

    Attributes:
        path: its file.
        quality: of the face, in [0, 1]; None for a crop that was there already.
    """

    path: Path
    quality: float | None


class CropTree:
    """Cuts crops; safe to use from several threads.

    Args:
        finder: finds the one face meant.
        source, destination: the two trees.
        alignment, side: how crops are cut, and their width and height.
        suffix: ".png" or ".jpg".
    """

    def __init__(
        self,
        finder: FaceFinder,
        source: Path,
        destination: Path,
        *,
        alignment: Alignment,
        side: int,
        suffix: str,
    ) -> None:
        self._finder = finder
        self._source = source
        self._destination = destination
        self._alignment = alignment
        self._side = side
        self._suffix = suffix

    def placed(self) -> Iterator[PhotoInput]:
        """Yield the photos, each with its crop's place; one whose place is taken has an error."""
        taken = PhotoSet()
        for photo in find_inputs([str(self._source)]):
            place = str(Path(photo.place).with_suffix(self._suffix)) if photo.place else ""
            error = photo.error
            if error is None and not taken.add(place):
                error = OutputError(
                    f"{photo.name}: another photo's crop has the place of its own, {place}",
                    cure="rename one of them",
                    code="output-collision",
                )
            yield replace(photo, place=place, error=error)

    def cut(self, photo: PhotoInput) -> Crop:
        """Write a photo's crop, or leave the one that is there.

        Raises:
            ImageError, NoDecisionError: as :meth:`FaceFinder.find`.
            OutputError: the crop cannot be written.
        """
        path = self._destination / photo.place
        if path.exists():
            return Crop(path, None)
        (found,) = self._finder.find(photo.name)
        encoded = BytesIO()
        if self._suffix == ".png":
            self._crop(found).save(encoded, "PNG")
        else:
            self._crop(found).save(encoded, "JPEG", quality=95)
        make_folder(path.parent)
        atomic_write(path, encoded.getvalue())
        return Crop(path, found.quality.score)

    def _crop(self, found: FoundFace) -> Image.Image:
        size = (self._side, self._side)
        if found.scale > 1 and self._side > FULL_DETAIL:  # the finder kept no more detail than that
            return self._alignment.crop(open_photo(found.photo).decode(), found.face, size)
        return found.crop(self._alignment, size)


def open_tree(
    finder: FaceFinder,
    source: Path,
    destination: Path,
    *,
    template: str,
    side: int | None,
    suffix: str,
) -> CropTree:
    """Prepare a folder for crops, or for more of the same.

    Args:
        template: name of a known one.
        side: of the crops, in pixels; None for the template's own.

    Raises:
        UsageError: an unknown template, a folder among the photos, or one with other crops.
        OutputError: the folder cannot be written.
    """
    alignment, side = named_alignment(template, side)
    check_apart(destination, [str(source)], "DST")
    make_folder(destination)
    path = destination / RECORD
    record = {"template": template, "size": side}
    try:
        earlier = json.loads(path.read_bytes())
    except FileNotFoundError:
        atomic_write(path, json.dumps(record).encode())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read", cure="remove it, or name a new DST") from error
    else:
        if earlier != record:
            raise UsageError(
                f"{destination} holds other crops ({earlier}) than are wanted now ({record})",
                cure="name another DST",
            )
    return CropTree(finder, source, destination, alignment=alignment, side=side, suffix=suffix)
