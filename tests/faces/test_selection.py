"""Face selection."""

import numpy as np
import pytest

from faceverify.choices import FaceChoice
from faceverify.errors import NoFaceError, SeveralFacesError
from faceverify.faces.detection import Face
from faceverify.faces.selection import choose, prominence


def face(left: float, top: float, size: float) -> Face:
    return Face((left, top, left + size, top + size), 1.0, np.zeros((5, 2), np.float32))


MIDDLE = face(100, 100, 50)  # in a photo of 250 x 250
LARGER = face(0, 0, 60)  # in a corner
FACES = [LARGER, MIDDLE]
SIZE = (250, 250)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (FaceChoice.LARGEST, [LARGER]),
        (FaceChoice.CENTER, [MIDDLE]),
        (FaceChoice.PROMINENT, [MIDDLE]),  # a little smaller, but in the middle
        (FaceChoice.ALL, FACES),
    ],
)
def test_choice(choice: FaceChoice, expected: list[Face]):
    assert choose(FACES, SIZE, choice, "x.jpg") == expected


def test_a_much_larger_face_is_prominent_wherever_it_is():
    huge = face(0, 0, 180)
    assert choose([huge, MIDDLE], SIZE, FaceChoice.PROMINENT, "x.jpg") == [huge]


def test_only_refuses_several():
    assert choose([MIDDLE], SIZE, FaceChoice.ONLY, "x.jpg") == [MIDDLE]
    with pytest.raises(SeveralFacesError, match=r"x\.jpg: 2 faces"):
        choose(FACES, SIZE, FaceChoice.ONLY, "x.jpg")


@pytest.mark.parametrize("choice", FaceChoice)
def test_none_is_an_error_whatever_the_choice(choice: FaceChoice):
    with pytest.raises(NoFaceError, match=r"x\.jpg: no face"):
        choose([], SIZE, choice, "x.jpg")


def test_a_portraits_face_is_prominent_though_it_is_at_the_top():
    portrait = face(150, 50, 300)  # in a tall photo, with a small face in its very middle
    passer_by = face(280, 580, 40)
    assert choose([portrait, passer_by], (600, 1200), FaceChoice.PROMINENT, "x.jpg") == [portrait]


def test_prominence_never_exceeds_the_size():
    for item in FACES:
        assert 0 < prominence(item, SIZE, 0.6) <= item.size == prominence(item, SIZE, 0.0)
