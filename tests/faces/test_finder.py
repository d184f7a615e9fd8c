"""Face finder: reduced decoding, one selection, quality."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from faceverify.choices import FaceChoice
from faceverify.errors import LowQualityError, NoFaceError, SeveralFacesError
from faceverify.faces.finder import COARSE_FACE, COARSE_SIDE, FaceFinder
from faceverify.faces.options import FaceOptions
from faceverify.faces.selection import choose
from faceverify.images.photo import Photo, open_photo


def as_jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95)
    return stream.getvalue()


def test_a_large_jpeg_is_read_at_a_reduced_scale_and_gives_the_same_face(
    detector, photos, monkeypatch
):
    large = photos["obama"].resize((3640, 4548), Image.Resampling.BICUBIC)
    decoded = []
    whole = Photo.decode

    def decode(photo, *, short_side=None):
        image = whole(photo, short_side=short_side)
        decoded.append(image.size)
        return image

    monkeypatch.setattr(Photo, "decode", decode)
    (found,) = FaceFinder(detector).find(as_jpeg(large))
    assert max(size[0] for size in decoded) <= 1820  # never the whole photo
    (small,) = FaceFinder(detector).find(photos["obama"])
    assert np.abs(found.face.points / 4 - small.face.points).max() < 0.03 * small.face.size
    assert found.quality.eye_distance == pytest.approx(4 * small.quality.eye_distance, rel=0.05)


def test_a_small_face_in_a_large_photo_is_cut_out_in_full_detail(detector, photos):
    wall = Image.new("RGB", (3000, 2000), (150, 140, 130))
    wall.paste(photos["obama"].resize((364, 455)), (1300, 800))
    (found,) = FaceFinder(detector).find(as_jpeg(wall))
    assert 60 < found.face.size < 200
    assert found.image.width >= 1500


@pytest.fixture(scope="module")
def two_faces(photos) -> Image.Image:
    pair = Image.new("RGB", (1000, 600), (128, 128, 128))
    pair.paste(photos["obama"].resize((455, 568)), (0, 0))
    pair.paste(photos["biden"].crop((200, 0, 900, 900)).resize((350, 450)), (600, 50))
    return pair


def test_several_faces(detector, two_faces):
    def find(choice):
        return FaceFinder(detector, FaceOptions(face=choice)).find(two_faces)

    assert len(find(FaceChoice.ALL)) == 2
    assert len(find(FaceChoice.LARGEST)) == len(find(FaceChoice.CENTER)) == 1
    with pytest.raises(SeveralFacesError):
        find(FaceChoice.ONLY)


def test_quality_below_the_wanted_is_refused_by_name(detector, photos):
    blurred = photos["obama"].resize((45, 56)).resize((910, 1137))
    finder = FaceFinder(detector, FaceOptions(min_quality=0.5))
    with pytest.raises(LowQualityError, match="face quality 0"):
        finder.find(blurred)
    assert finder.find(photos["obama"])


def test_no_face(detector):
    with pytest.raises(NoFaceError):
        FaceFinder(detector).find(Image.new("RGB", (300, 300), "green"))


@pytest.mark.thorough
@pytest.mark.parametrize("width", [570, 590, 630])
@pytest.mark.parametrize("choice", [FaceChoice.LARGEST, FaceChoice.PROMINENT])
def test_the_face_that_was_chosen_at_a_glance_is_the_one_that_is_found(
    detector, photos, width, choice
):
    rivals = Image.new("RGB", (1800, 1000), (128, 128, 128))  # nearly of one size
    rivals.paste(photos["obama"].resize((640, 800)), (50, 50))
    rivals.paste(photos["biden"].resize((width, round(width * 2204 / 970))), (1000, 50))
    photo = open_photo(as_jpeg(rivals))
    glance = photo.decode(short_side=COARSE_SIDE)
    finder = FaceFinder(detector, FaceOptions(face=choice))
    seen = finder._detect(glance, COARSE_FACE)
    (meant,) = choose(seen, glance.size, choice, "rivals")
    (found,) = finder.find(photo)
    assert found.image.width > glance.width  # looked at again, more finely
    meant = meant.moved(0, 0, photo.width / glance.width)
    assert math.dist(found.face.middle, meant.middle) < 0.1 * meant.size
    assert found.face.size == pytest.approx(meant.size, rel=0.1)


@pytest.mark.parametrize("face", ["prominent", "all"])
def test_places_in_a_photo_too_large_to_be_decoded_whole_are_those_of_the_photo(
    detector, photos, monkeypatch, face
):
    data = as_jpeg(photos["obama"])
    finder = FaceFinder(detector, FaceOptions(face=FaceChoice(face)))
    (whole,) = finder.find(data)
    monkeypatch.setattr("faceverify.images.photo.LARGE_PIXELS", 500_000)
    assert open_photo(data).decode().width == photos["obama"].width // 2
    (half,) = finder.find(data)
    assert half.face.box == pytest.approx(whole.face.box, abs=0.03 * whole.face.size)
