"""Face selection: which face of a photo that shows several."""

from __future__ import annotations

import math

from faceverify.choices import FaceChoice
from faceverify.errors import NoFaceError, SeveralFacesError
from faceverify.faces.detection import Face

# What share of its size a face in a corner loses against one in the middle. On LFW View 1, where
# the labelled person stands in the middle, the largest face is another one in 117 of 4,992 photos;
# with 0.7, in none.
CENTRALITY = {FaceChoice.PROMINENT: 0.7, FaceChoice.LARGEST: 0.0}


def prominence(face: Face, size: tuple[int, int], centrality: float) -> float:
    """Size of a face in pixels, reduced with its distance from the middle of the photo.

    At most its size, so that a search from large faces to small ones can stop early.
    """
    half_diagonal = math.hypot(*size) / 2
    return face.size * (1 - centrality * min(1.0, off_centre(face, size) / half_diagonal))


def off_centre(face: Face, size: tuple[int, int]) -> float:
    """Distance between the middle of a face and the middle of a photo, in pixels."""
    left, top, right, bottom = face.box
    return math.hypot((left + right - size[0]) / 2, (top + bottom - size[1]) / 2)


def choose(faces: list[Face], size: tuple[int, int], choice: FaceChoice, name: str) -> list[Face]:
    """The selected faces: one, or all of them.

    Raises:
        NoFaceError: there is none.
        SeveralFacesError: there are several, and the choice is ``only``.
    """
    if not faces:
        raise NoFaceError(f"{name}: no face found", cure="smaller faces need a lower --min-face")
    if choice is FaceChoice.ALL:
        return faces
    if choice is FaceChoice.ONLY:
        if len(faces) > 1:
            raise SeveralFacesError(
                f"{name}: {len(faces)} faces where one was expected",
                cure="choose with --face prominent, largest or center",
            )
        return faces
    if choice is FaceChoice.CENTER:
        return [min(faces, key=lambda face: off_centre(face, size))]
    return [max(faces, key=lambda face: prominence(face, size, CENTRALITY[choice]))]
