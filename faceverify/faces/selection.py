"""Which face, when a photo shows several."""

from __future__ import annotations

from faceverify.errors import NoFaceError, SeveralFacesError
from faceverify.faces.choice import FaceChoice
from faceverify.faces.detection import Face

# How much a face's distance from the centre counts against its size. On LFW View 1, where the
# person meant stands in the middle, the largest face is another one in 117 of 4,992 photos; with
# the squared distance counted twice against the area, in 1.
CENTRALITY = {FaceChoice.PROMINENT: 2.0, FaceChoice.LARGEST: 0.0}


def prominence(face: Face, size: tuple[int, int], centrality: float) -> float:
    """The area of a face less its squared distance from the centre, times ``centrality``."""
    return face.size**2 - centrality * off_centre(face, size)


def off_centre(face: Face, size: tuple[int, int]) -> float:
    """Squared distance between the middle of a face and the middle of a photo, in pixels."""
    left, top, right, bottom = face.box
    return ((left + right - size[0]) / 2) ** 2 + ((top + bottom - size[1]) / 2) ** 2


def choose(faces: list[Face], size: tuple[int, int], choice: FaceChoice, name: str) -> list[Face]:
    """The faces that a choice means: one, or all of them.

    Raises:
        NoFaceError: there is none.
        SeveralFacesError: there are several and ``only`` one was wanted.
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
