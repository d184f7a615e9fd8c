"""From a photo to its faces: decoded, detected, chosen once, measured, ready to be cut out.

A large photo is looked at twice where one face is chosen by its prominence: a JPEG is first decoded
small, which is enough to choose the face, then as finely as a crop of that face can show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image

from faceverify.errors import LowQualityError
from faceverify.faces.alignment import Alignment, known_crop
from faceverify.faces.detection import Detector, Face
from faceverify.faces.options import FaceOptions
from faceverify.faces.quality import Quality, measure_quality
from faceverify.faces.selection import CENTRALITY, choose, prominence, same_face
from faceverify.images.photo import Photo, Source, open_photo

COARSE_SIDE = 320  # pixels of the short side at which a JPEG is first looked at
COARSE_FACE = 20.0  # the smallest face that is looked for there, in pixels
FULL_DETAIL = 160.0  # a face of this size has all the detail that a crop can hold
SMALLER = 0.6  # of a face's size, looked for when it is found again in a finer picture


@dataclass(frozen=True)
class FoundFace:
    """A face in its photo, ready to be cut out.

    Attributes:
        photo: what the user called the photo.
        face: where it is, in pixels of the upright photo.
        quality: what was measured on it.
        image: the photo's pixels, perhaps at a reduced scale.
        scale: pixels of the photo per pixel of ``image``.
    """

    photo: str
    face: Face
    quality: Quality
    image: Image.Image
    scale: float

    def crop(self, alignment: Alignment, size: tuple[int, int]) -> Image.Image:
        """The aligned face, (width, height) = size."""
        return alignment.crop(self.image, self.face.moved(0, 0, 1 / self.scale), size)


class FaceFinder:
    """Finds the faces of a photo that are meant, and measures them.

    Args:
        detector: the MTCNN cascade.
        options: which faces, how small and how bad they may be.
    """

    def __init__(self, detector: Detector, options: FaceOptions = FaceOptions()) -> None:
        self.options = options
        self._detector = detector
        self._aligned = None if options.aligned is None else known_crop(options.aligned)

    def find(self, source: Source) -> list[FoundFace]:
        """The faces meant, at least one.

        Raises:
            ImageError: the photo cannot be read.
            NoFaceError, SeveralFacesError, LowQualityError: it shows no face that is meant.
        """
        photo = open_photo(source)
        image, faces = self._look(photo)
        scale = photo.width / image.width
        found = [
            FoundFace(
                photo.name,
                face.moved(0, 0, scale),
                measure_quality(image, face, scale),
                image,
                scale,
            )
            for face in faces
        ]
        least = self.options.min_quality
        good = [item for item in found if item.quality.score >= least]
        if not good:
            best = max(item.quality.score for item in found)
            raise LowQualityError(
                f"{photo.name}: face quality {best:.2f} is under the wanted {least:g}",
                cure="use a sharper, larger or more frontal photo, or a lower --min-quality",
            )
        return good

    def _look(self, photo: Photo) -> tuple[Image.Image, list[Face]]:
        """The photo at a scale that shows the faces meant in full detail, and these in it."""
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
            image, scale = photo.decode(), 1.0
            faces = self._detect(image, self.options.min_face)
        chosen = choose(faces, image.size, self.options.face, photo.name)
        if scale > 1 and chosen[0].size < FULL_DETAIL:
            return self._finer(photo, image, chosen[0])
        return image, chosen

    def _finer(
        self, photo: Photo, image: Image.Image, face: Face
    ) -> tuple[Image.Image, list[Face]]:
        """The photo at a scale that shows one of its faces in full detail, and that face in it."""
        side = math.ceil(min(image.size) * FULL_DETAIL / face.size)
        finer = photo.decode(short_side=side)
        ratio = finer.width / image.width
        faces = self._detect(finer, face.size * ratio * SMALLER)
        again = same_face(faces, face.moved(0, 0, ratio))
        return (image, [face]) if again is None else (finer, [again])

    def _detect(self, image: Image.Image, min_face: float) -> list[Face]:
        centrality = CENTRALITY.get(self.options.face)
        if centrality is None:
            return self._detector.detect(image, min_face=min_face)

        def found(faces: list[Face], unseen: float) -> bool:
            return max(prominence(face, image.size, centrality) for face in faces) >= unseen

        return self._detector.detect(image, min_face=min_face, found=found)
