"""Face detection: beside the MTCNN cascade's points, at edges, turned, small, and laws."""

import math
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageOps

from faceverify.errors import ModelError
from faceverify.faces.detection import (
    SHARED,
    TILE,
    TURNS,
    WHOLE,
    Detector,
    Face,
    scales,
    tiles,
    turned_back,
)

# Points that facenet-pytorch 2.5.3 finds on the whole photos (min_face_size=40), rounded to 0.1:
# left eye, right eye, nose, left and right mouth corner.
REFERENCE = {
    "obama": [[445.0, 213.0], [550.6, 212.0], [496.5, 277.2], [436.8, 324.4], [556.4, 319.8]],
    "obama2": [[251.2, 363.6], [374.4, 381.2], [284.6, 444.6], [247.4, 517.0], [352.1, 525.7]],
    "obama3": [[736.6, 385.0], [859.9, 400.8], [812.1, 440.4], [734.3, 510.5], [846.9, 527.4]],
    "biden": [[534.7, 319.0], [655.6, 344.8], [597.3, 404.9], [519.7, 460.1], [626.7, 478.1]],
}


def located(detector: Detector, image: Image.Image, **options) -> Face:
    """The only face, with exact points."""
    (face,) = detector.detect(image, **options)
    found = detector.locate(image, face)
    assert found is not None
    return found


def error(face: Face, points) -> float:
    """Mean distance between points, as a share of the distance from the eyes to the mouth."""
    points = np.array(points)
    height = np.linalg.norm(points[:2].mean(axis=0) - points[3:].mean(axis=0))
    return float(np.linalg.norm(face.points - points, axis=1).mean() / height)


@pytest.mark.parametrize("name", REFERENCE)
def test_points_are_near_those_of_the_cascade(detector: Detector, photos, name: str):
    face = located(detector, photos[name])
    assert error(face, REFERENCE[name]) < 0.08
    assert face.score > 0.9
    assert face.turned == 0
    left, top, right, bottom = face.box
    assert ((face.points > (left, top)) & (face.points < (right, bottom))).all()


@pytest.mark.thorough(but=("90-obama", "180-obama2", "270-obama2"))
@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("degrees", TURNS)
def test_a_turned_photo_gives_the_same_face_and_says_how_it_is_turned(
    detector: Detector, photos, name: str, degrees: int
):
    photo = photos[name]
    back = {90: 270, 180: 180, 270: 90}[degrees]
    face = located(detector, photo.transpose(TURNS[back]))
    assert face.turned == degrees
    upright = turned_back(face, back, photo.size)
    assert error(upright, REFERENCE[name]) < 0.1
    assert abs(face.roll) < 15


def test_a_leaning_face_is_followed_and_its_roll_told(detector: Detector, photos):
    photo = photos["obama"]
    before = located(detector, photo)
    for angle in (-30, 30):  # anticlockwise
        face = located(detector, photo.rotate(angle, Image.Resampling.BICUBIC))
        assert face.turned == 0
        assert face.roll == pytest.approx(before.roll - angle, abs=6)


def test_a_face_whose_points_contradict_its_orientation_is_none(detector: Detector, photos):
    photo = photos["obama"]
    face = located(detector, photo)
    upside_down = Face(face.box, face.score, face.points, turned=180)
    assert detector.locate(photo, upside_down) is None


def test_a_search_that_may_stop_early_finds_the_same_largest_face(detector: Detector, photos):
    asked = []

    def enough(faces, unseen):
        asked.append(unseen)
        return max(face.size for face in faces) >= unseen

    (early,) = detector.detect(photos["biden"], enough=enough, min_face=20)
    (whole,) = detector.detect(photos["biden"], min_face=20)
    assert len(asked) == 1
    assert asked[0] > 60
    assert np.abs(early.points - whole.points).max() < 0.05 * whole.size


def test_mirrored_photo_gives_mirrored_points(detector: Detector, photos):
    face = located(detector, photos["biden"])
    mirrored = located(detector, ImageOps.mirror(photos["biden"]))
    points = mirrored.points[[1, 0, 2, 4, 3]] * (-1, 1) + (photos["biden"].width, 0)
    assert error(face, points) < 0.05


@pytest.mark.parametrize("size", [40, 90, 200, 500])
def test_points_do_not_depend_on_the_size_of_the_photo(detector: Detector, photos, size: int):
    photo = photos["obama"]
    scale = size / 336  # pixels of the face's box
    shrunk = photo.resize((round(photo.width * scale), round(photo.height * scale)))
    face = located(detector, shrunk, min_face=20)
    assert error(face.moved(0, 0, 1 / scale), REFERENCE["obama"]) < 0.1


@pytest.mark.parametrize("inside", [-20, 0, 20, 40])
def test_a_close_up_that_fills_the_frame_is_found(detector: Detector, photos, inside: int):
    left, top = 375 + inside, 86 + inside
    close_up = photos["obama"].crop((left, top, 614 - inside, 421 - inside))
    face = located(detector, close_up)
    assert error(face, np.array(REFERENCE["obama"]) - (left, top)) < 0.12


@pytest.mark.parametrize(
    "cut",
    [(425, 0, 910, 600), (0, 0, 565, 600), (0, 140, 910, 600), (0, 0, 910, 370)],
    ids=["left", "right", "top", "bottom"],
)
def test_a_face_that_one_edge_cuts_has_its_points_where_they_are(
    detector: Detector, photos, cut: tuple[int, int, int, int]
):
    face = located(detector, photos["obama"].crop(cut))
    assert error(face, np.array(REFERENCE["obama"]) - cut[:2]) < 0.15


def test_smaller_faces_than_wanted_are_not_found(detector: Detector, photos):
    small = photos["obama"].resize((182, 227))  # the face measures about 60 pixels
    assert detector.detect(small, min_face=30)
    canvas = Image.new("RGB", (600, 600), (90, 90, 90))
    canvas.paste(small, (200, 180))
    assert detector.detect(canvas, min_face=30)
    assert not detector.detect(canvas, min_face=150)


@pytest.mark.thorough(but=("place1",))
@pytest.mark.parametrize(
    "place",
    [
        (5, 5),
        (1000, 910),
        pytest.param((700, 400), marks=pytest.mark.slow),
        pytest.param((1900, 1400), marks=pytest.mark.slow),
    ],
)
def test_a_face_of_16_pixels_is_found_anywhere_in_a_large_photo(
    detector: Detector, photos, place: tuple[int, int]
):
    wall = Image.new("RGB", (2000, 1500), (150, 140, 130))
    wall.paste(photos["obama"].resize((48, 60)), place)
    (face,) = detector.detect(wall, min_face=14)
    assert math.dist(face.middle, (place[0] + 26, place[1] + 13)) < 6


@pytest.mark.parametrize("size", [(1, 1), (5, 400), (400, 5), (12, 12), (300, 200)])
def test_nothing_is_found_where_nothing_is(detector: Detector, size: tuple[int, int]):
    assert detector.detect(Image.new("RGB", size, (120, 130, 140))) == []


def test_no_face_in_noise(detector: Detector):
    noise = np.random.default_rng(0).integers(0, 256, (5, 200, 240, 3), np.uint8)
    assert [detector.detect(Image.fromarray(item)) for item in noise] == [[]] * 5


@pytest.mark.parametrize("missing", ["yunet.onnx", "mtcnn-onet.onnx"])
def test_a_missing_network_is_named(tmp_path, missing: str):
    from faceverify.models.registry import bundled_folder

    for name in {"yunet.onnx", "mtcnn-onet.onnx"} - {missing}:
        (tmp_path / name).write_bytes((bundled_folder() / name).read_bytes())
    with pytest.raises(ModelError, match=f"{missing}: the face detector cannot be loaded"):
        Detector(tmp_path)


@pytest.mark.parametrize("long_side", [30, 256, 1000, 6000])
@pytest.mark.parametrize("min_face", [15, 40, 300])
def test_scales_show_the_whole_photo_first_and_the_smallest_face_last(long_side, min_face):
    steps = scales(long_side, min_face)
    assert steps[0] == WHOLE / long_side
    assert steps[-1] * min_face >= 15.99
    assert all(1 < second / first <= 3.001 for first, second in pairwise(steps))


@pytest.mark.parametrize("size", [(1, 1), (TILE, TILE), (TILE + 1, 40), (3000, 2100)])
def test_tiles_cover_the_image_and_share_a_strip(size: tuple[int, int]):
    seen = np.zeros(size[::-1], int)
    for left, top, right, bottom in tiles(*size):
        assert 0 < right - left <= TILE
        assert 0 < bottom - top <= TILE
        seen[top:bottom, left:right] += 1
        assert left == 0 or right == size[0] or (seen[top, left : left + SHARED] > 1).all()
    assert seen.min() == 1


@pytest.mark.slow
def test_points_are_near_the_cascades_on_lfw(detector: Detector, shared_data):
    facenet_pytorch = pytest.importorskip(
        "facenet_pytorch", reason="needs facenet-pytorch (the train extra)"
    )
    reference = facenet_pytorch.MTCNN(keep_all=False, min_face_size=40, select_largest=True)
    errors = []
    for path in sorted((shared_data / "lfw").glob("*/*.jpg"))[::150]:
        image = Image.open(path).convert("RGB")
        boxes, _, points = reference.detect(image, landmarks=True)
        faces = detector.detect(image)
        assert faces, path
        if boxes is not None:
            face = min(faces, key=lambda one: math.dist(one.middle, points[0][2]))
            errors.append(error(detector.locate(image, face), points[0]))
    assert len(errors) > 50
    assert np.median(errors) < 0.06
