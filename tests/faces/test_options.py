"""What a user may set of how faces are found: checked once, where it is made."""

import math

import pytest

from faceverify.choices import FaceChoice
from faceverify.errors import UsageError
from faceverify.faces.options import MOST_CROPS, SMALLEST_FACE, FaceOptions


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"face": "nearest"}, "--face 'nearest': expected one of prominent, largest"),
        ({"min_face": SMALLEST_FACE - 0.1}, "--min-face 9.9: expected 10 pixels or more"),
        ({"min_face": math.nan}, "--min-face nan"),
        ({"min_face": math.inf}, "--min-face inf"),
        ({"min_quality": 1.01}, "--min-quality 1.01: expected 0 to 1"),
        ({"min_quality": math.nan}, "--min-quality nan"),
        ({"aligned": "x"}, "no alignment 'x'"),
        ({"aligned": "facenet-160"}, "no alignment 'facenet-160'"),
        ({"augment": 0}, "--augment 0: expected 1 to 100"),
        ({"augment": MOST_CROPS + 1}, "--augment 101"),
    ],
)
def test_values_that_make_no_sense_are_refused(values, message):
    with pytest.raises(UsageError, match=message):
        FaceOptions(**values)


def test_the_limits_themselves_are_taken():
    FaceOptions(min_face=SMALLEST_FACE, min_quality=0, augment=1)
    FaceOptions(min_quality=1, augment=MOST_CROPS, aligned="dlib-150")


def test_a_choice_may_be_named():
    assert FaceOptions(face="largest") == FaceOptions(face=FaceChoice.LARGEST)
    assert FaceOptions(face="largest").face is FaceChoice.LARGEST


@pytest.mark.parametrize("choice", FaceChoice)
def test_all_faces_are_no_side_of_a_comparison(choice):
    if choice is not FaceChoice.ALL:
        FaceOptions(face=choice).require_one_face()
        return
    with pytest.raises(UsageError, match="one side of a comparison"):
        FaceOptions(face=choice).require_one_face()
