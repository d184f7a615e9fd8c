"""The MTCNN cascade: against the reference implementation's output, brute force, and laws."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from faceverify.errors import ModelError
from faceverify.faces.detection import Detector, face_sizes

# Points that facenet-pytorch 2.5.3 finds on the whole photos (min_face_size=40), rounded to 0.1:
# left eye, right eye, nose, left and right mouth corner.
REFERENCE = {
    "obama": [[445.0, 213.0], [550.6, 212.0], [496.5, 277.2], [436.8, 324.4], [556.4, 319.8]],
    "obama2": [[251.2, 363.6], [374.4, 381.2], [284.6, 444.6], [247.4, 517.0], [352.1, 525.7]],
    "obama3": [[736.6, 385.0], [859.9, 400.8], [812.1, 440.4], [734.3, 510.5], [846.9, 527.4]],
    "biden": [[534.7, 319.0], [655.6, 344.8], [597.3, 404.9], [519.7, 460.1], [626.7, 478.1]],
}


@pytest.mark.parametrize("name", REFERENCE)
def test_points_are_those_of_the_reference(detector: Detector, photos, name: str):
    (face,) = detector.detect(photos[name], min_face=40)
    assert np.abs(face.points - REFERENCE[name]).max() < 0.06  # the reference is rounded
    assert face.score > 0.99
    left, top, right, bottom = face.box
    assert ((face.points > (left, top)) & (face.points < (right, bottom))).all()


def test_octave_by_octave_finds_the_same_largest_face(detector: Detector, photos):
    image = photos["obama"]
    asked = []

    def found(faces, unseen):
        asked.append(unseen)
        return max(face.size for face in faces) >= unseen

    (early,) = detector.detect(image, found=found)
    (whole,) = detector.detect(image)
    assert asked
    assert asked[-1] > 40 / 0.709  # it did not go down to the smallest faces
    assert np.abs(early.points - whole.points).max() < 0.03 * whole.size


def test_mirrored_photo_gives_mirrored_points(detector: Detector, photos):
    (face,) = detector.detect(photos["biden"])
    (mirrored,) = detector.detect(ImageOps.mirror(photos["biden"]))
    back = photos["biden"].width - mirrored.points[[1, 0, 2, 4, 3]] * (1, -1) * (1, 1)
    back[:, 1] = mirrored.points[[1, 0, 2, 4, 3], 1]
    assert np.abs(back - face.points).max() < 0.04 * face.size


@pytest.mark.parametrize("inside", [0, 10, 20, 40])
def test_close_up_that_fills_the_frame_is_found(detector: Detector, photos, inside: int):
    left, top = 375 + inside, 86 + inside
    close_up = photos["obama"].crop((left, top, 614 - inside, 421 - inside))
    (face,) = detector.detect(close_up)
    expected = np.array(REFERENCE["obama"]) - (left, top)
    assert np.abs(face.points - expected).max() < 0.04 * face.size


def test_smaller_faces_than_wanted_are_not_found(detector: Detector, photos):
    small = photos["obama"].resize((182, 227))  # the face measures about 60 pixels
    assert detector.detect(small, min_face=30)
    canvas = Image.new("RGB", (600, 600), (90, 90, 90))
    canvas.paste(small, (200, 180))
    assert detector.detect(canvas, min_face=30)
    assert not detector.detect(canvas, min_face=150)


@pytest.mark.parametrize("size", [(1, 1), (5, 400), (400, 5), (12, 12), (300, 200)])
def test_nothing_is_found_where_nothing_is(detector: Detector, size: tuple[int, int]):
    assert detector.detect(Image.new("RGB", size, (120, 130, 140))) == []


def test_no_face_in_noise(detector: Detector):
    noise = np.random.default_rng(0).integers(0, 256, (5, 200, 240, 3), np.uint8)
    assert [detector.detect(Image.fromarray(item)) for item in noise] == [[]] * 5


def test_missing_net_is_named(tmp_path):
    with pytest.raises(ModelError, match="detector cannot be loaded"):
        Detector(tmp_path)


def test_face_sizes_start_at_the_smallest_and_fit_the_photo():
    sizes = face_sizes(250, 40)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 40
    assert 250 * 0.709 < sizes[0] <= 250
    assert face_sizes(30, 40) == []


@pytest.fixture(scope="module")
def reference():
    facenet_pytorch = pytest.importorskip(
        "facenet_pytorch", reason="needs facenet-pytorch (the train extra)"
    )
    return facenet_pytorch.MTCNN(keep_all=True, min_face_size=20)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_same_faces_and_points_on_lfw(detector: Detector, reference, shared_data):
    photos = sorted((shared_data / "lfw").glob("*/*.jpg"))[::150]
    differences, faces = [], 0
    for path in photos:
        image = Image.open(path).convert("RGB")
        boxes, _, points = reference.detect(image, landmarks=True)
        ours = detector.detect(image, min_face=20)
        assert len(ours) == (0 if boxes is None else len(boxes)), path
        for expected in () if boxes is None else np.asarray(points, float):
            faces += 1
            differences.append(min(np.abs(face.points - expected).max() for face in ours))
    assert faces > 50
    assert np.median(differences) < 0.01
    assert np.mean(np.array(differences) < 0.5) > 0.95
