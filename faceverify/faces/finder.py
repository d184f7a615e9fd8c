"""Face finder: a photo decoded, its faces detected, selected and measured for quality.

Where one face is selected by its prominence, a large JPEG is decoded twice: first small, which is
enough to select the face, then at the scale that a crop of that face needs, in which its points
are placed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

from PIL import Image

from faceverify.errors import LowQualityError, NoFaceError
from faceverify.faces.alignment import Alignment, reference_points
from faceverify.faces.detection import Detector, Face
from faceverify.faces.options import SMALLEST_FACE, FaceOptions
from faceverify.faces.quality import Quality, measure_quality
from faceverify.faces.selection import CENTRALITY, choose, prominence
from faceverify.images.photo import Photo, Source, open_photo

COARSE_SIDE = 320  # pixels of the short side at which a JPEG is first decoded
COARSE_FACE = 20.0  # the smallest face detected at that scale, in pixels
FULL_DETAIL = 160.0  # a face of this size has all the detail that a crop can hold


@dataclass(frozen=True)
class FoundFace:
    """A detected face with its photo, from which it can be cropped.

    Attributes:
        photo: name of the photo, as given by the user.
        face: box and points, in pixels of the upright photo.
        image: the photo's pixels, possibly at a reduced scale.
        scale: pixels of the photo per pixel of ``image``.
    """

    photo: str
    face: Face
    image: Image.Image
    scale: float

    @cached_property
    def quality(self) -> Quality:
        """Quality of the face, without the component of the model."""
        return measure_quality(self.image, self._in_image, self.scale)

    def crop(self, alignment: Alignment, size: tuple[int, int]) -> Image.Image:
        """The aligned face, (width, height) = size."""
        return alignment.crop(self.image, self._in_image, size)

    @property
    def _in_image(self) -> Face:
        return self.face.moved(0, 0, 1 / self.scale)


Item = TypeVar("Item", bound="HasQuality")


class HasQuality(Protocol):
    """What has the quality of a face."""

    @property
    def quality(self) -> Quality:
        """Of the face."""


def good_enough(photo: str, faces: list[Item], least: float) -> list[Item]:
    """The faces of a photo whose quality is at least ``least``; it is not measured for 0.

    Raises:
        LowQualityError: there is none.
    """
    if not least:
        return faces
    good = [face for face in faces if face.quality.score >= least]
    if faces and not good:
        best = max((face.quality for face in faces), key=lambda quality: quality.score)
        raise LowQualityError(
            f"{photo}: face quality {best.score:.2f} is below the required {least:g} "
            f"({best.weakness})",
            cure="use a sharper, larger photo without anything before the face, or a lower "
            "--min-quality",
        )
    return good


class FaceFinder:
    """Finder of the faces of a photo that the options select, with their quality.

    Args:
        detector: face detector.
        options: which faces, their least size and quality.
    """

    def __init__(self, detector: Detector, options: FaceOptions = FaceOptions()) -> None:
        self.options = options
        self._detector = detector
        self._aligned = None if options.aligned is None else reference_points(options.aligned)

    def find(self, source: Source) -> list[FoundFace]:
        """The selected faces, at least one.

        Raises:
            ImageError: the photo cannot be read.
            NoFaceError, SeveralFacesError, LowQualityError: it shows no such face, several, or only
                faces of too low a quality.
        """
        photo = open_photo(source)
        image, faces = self._look(photo)
        scale = photo.width / image.width
        found = [FoundFace(photo.name, face.moved(0, 0, scale), image, scale) for face in faces]
        return good_enough(photo.name, found, self.options.min_quality)

    def _look(self, photo: Photo) -> tuple[Image.Image, list[Face]]:
        """The photo at the scale that the selected faces need, and these faces in it."""
        if self._aligned is not None:
            image = photo.decode()
            return image, [self._aligned.face(image.size)]
        image = photo.decode(short_side=COARSE_SIDE if self.options.face in CENTRALITY else None)
        scale = photo.width / image.width
        smallest = self.options.min_face
        if scale > 1:
            smallest = max(smallest / scale, COARSE_FACE)
        faces = self._detect(image, smallest)
        if not faces and scale > 1:  # its faces are small, or there are none
            image = photo.decode()
            scale = photo.width / image.width
            faces = self._detect(image, max(self.options.min_face / scale, SMALLEST_FACE))
        chosen = choose(faces, image.size, self.options.face, photo.name)
        if scale > 1 and chosen[0].size < FULL_DETAIL:
            finer = photo.decode(
                short_side=math.ceil(min(image.size) * FULL_DETAIL / chosen[0].size)
            )
            chosen = [face.moved(0, 0, finer.width / image.width) for face in chosen]
            image = finer
        located = [self._detector.locate(image, face) for face in chosen]
        kept = [face for face in located if face is not None]
        if not kept:
            raise NoFaceError(
                f"{photo.name}: no face found; what looks like one has its mouth above its eyes",
                cure="use a photo in which the face is seen clearly",
            )
        return image, kept

    def _detect(self, image: Image.Image, min_face: float) -> list[Face]:
        centrality = CENTRALITY.get(self.options.face)
        if centrality is None:
            return self._detector.detect(image, min_face=min_face)

        def enough(faces: list[Face], unseen: float) -> bool:
            return max(prominence(face, image.size, centrality) for face in faces) >= unseen

        return self._detector.detect(image, min_face=min_face, enough=enough)
