"""Aligned crops of a folder of photos, in a folder of the same structure."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from faceverify.errors import NoDecisionError, OutputError, UsageError
from faceverify.faces.alignment import Alignment, named_alignment
from faceverify.faces.finder import FULL_DETAIL, FaceFinder, FoundFace
from faceverify.images.inputs import PhotoInput, find_inputs
from faceverify.images.photo import Photo, open_photo
from faceverify.runtime.files import atomic_write
from faceverify.runtime.folders import check_apart, make_folder
from faceverify.runtime.name_set import PhotoSet

RECORD = ".faceverify-align.json"  # in the folder of crops: how they were cut
MARK = "faceverify crop of sha256:"  # in a crop's comment, before the hash of its photo


@dataclass(frozen=True)
class Crop:
    """The crop of a photo.

    Attributes:
        path: of the file.
        quality: of the face, in [0, 1]; None for a crop that existed already.
    """

    path: Path
    quality: float | None


class CropTree:
    """Writer of the crops of a folder of photos; thread-safe.

    Args:
        finder: finds the face of a photo.
        source, destination: folders of the photos and of the crops.
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

    def placed(self, *, passed: Callable[[Path], None] | None = None) -> Iterator[PhotoInput]:
        """The photos with the places of their crops; an error where two share a place.

        Args:
            passed: called with each file known to be no photo.
        """
        taken = PhotoSet()
        for photo in find_inputs([str(self._source)], passed=passed):
            place = str(Path(photo.place).with_suffix(self._suffix)) if photo.place else ""
            error = photo.error
            if error is None and not taken.add(place):
                error = OutputError(
                    f"{photo.name}: another photo has the same place for its crop, {place}",
                    cure="rename one of them",
                    code="output-collision",
                )
            yield replace(photo, place=place, error=error)

    def cut(self, photo: PhotoInput) -> Crop:
        """Write the crop of a photo, unless it exists; a crop of another photo is replaced.

        Raises:
            ImageError, NoDecisionError: as :meth:`FaceFinder.find`.
            OutputError: the crop cannot be written.
        """
        path = self._destination / photo.place
        opened = open_photo(photo.name)
        existing = crop_hash(path) if path.exists() else None
        if existing == opened.sha256 or (existing == "" and not is_newer(photo.name, path)):
            return Crop(path, None)
        try:
            (found,) = self._finder.find(opened)
        except NoDecisionError:
            if existing:  # of the photo that was here before
                path.unlink()
            raise
        encoded = BytesIO()
        mark = f"{MARK}{opened.sha256}"
        if self._suffix == ".png":
            text = PngInfo()
            text.add_text("Comment", mark)
            self._crop(found, opened).save(encoded, "PNG", pnginfo=text)
        else:
            self._crop(found, opened).save(encoded, "JPEG", quality=95, comment=mark)
        make_folder(path.parent)
        atomic_write(path, encoded.getvalue())
        return Crop(path, found.quality.score)

    def _crop(self, found: FoundFace, photo: Photo) -> Image.Image:
        size = (self._side, self._side)
        if (
            found.scale > 1 and self._side > FULL_DETAIL
        ):  # the finder decoded the photo no finer than that
            image = photo.decode()
            face = found.face.moved(0, 0, image.width / photo.width)
            return self._alignment.crop(image, face, size)
        return found.crop(self._alignment, size)


def crop_hash(path: Path) -> str:
    """SHA-256 of the photo that a crop was cut from; empty where the crop does not say."""
    try:
        with Image.open(path, formats=["PNG", "JPEG"]) as crop:
            comment = crop.info.get("Comment") or crop.info.get("comment") or ""
    except Exception:  # whatever lies there was put there by somebody else
        return ""
    text = comment.decode("latin-1") if isinstance(comment, bytes) else str(comment)
    return text.removeprefix(MARK) if text.startswith(MARK) else ""


def is_newer(photo: str, crop: Path) -> bool:
    """Whether a photo was changed after a crop that does not say what it was cut from."""
    return os.stat(photo).st_mtime_ns > crop.stat().st_mtime_ns


def open_tree(
    finder: FaceFinder,
    source: Path,
    destination: Path,
    *,
    alignment: str,
    side: int | None,
    suffix: str,
) -> CropTree:
    """A folder prepared for crops, or for more crops of the same alignment.

    Args:
        alignment: one of ``ALIGNMENT_NAMES``.
        side: of the crops, in pixels; None for the alignment's own.

    Raises:
        UsageError: an unknown alignment, a destination inside the source, or one with other crops.
        OutputError: the folder cannot be written.
    """
    cut, side = named_alignment(alignment, side)
    check_apart(destination, [str(source)], "DST")
    make_folder(destination)
    path = destination / RECORD
    options = finder.options
    record = {"template": alignment, "size": side, "face": options.face.value}
    record["min_face"] = options.min_face
    try:
        earlier = json.loads(path.read_bytes())
    except FileNotFoundError:
        atomic_write(path, json.dumps(record).encode())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read", cure="remove it, or name a new DST") from error
    else:
        if not isinstance(earlier, dict) or {**record, **earlier} != record:
            raise UsageError(
                f"{destination} holds other crops ({earlier}) than this command cuts ({record})",
                cure="name another DST",
            )
    return CropTree(finder, source, destination, alignment=cut, side=side, suffix=suffix)
