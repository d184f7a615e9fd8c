"""Quality: each part falls when its cause is made worse."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from faceverify.faces.quality import head_turn, measure_quality, ramp


@pytest.fixture(scope="module")
def portrait(detector, photos):
    (face,) = detector.detect(photos["obama"])
    return photos["obama"], face


def test_a_good_portrait_is_good(portrait):
    quality = measure_quality(*portrait)
    assert quality.score > 0.5
    assert quality.eye_distance == pytest.approx(105.6, abs=0.5)
    assert 60 < quality.brightness < 200


def test_blur_lowers_sharpness_and_score(portrait):
    image, face = portrait
    found = [
        measure_quality(image.filter(ImageFilter.GaussianBlur(radius)), face)
        for radius in (0, 4, 8, 16)
    ]
    sharpness = [quality.sharpness for quality in found]
    assert sharpness == sorted(sharpness, reverse=True)
    assert found[-1].score < 0.3 < found[0].score


def test_darkness_and_overexposure_lower_the_score(portrait):
    image, face = portrait
    good = measure_quality(image, face)
    dark = measure_quality(ImageEnhance.Brightness(image).enhance(0.05), face)
    white = measure_quality(ImageEnhance.Brightness(image).enhance(6), face)
    assert dark.score < 0.3
    assert dark.contrast < good.contrast
    assert white.clipped > 0.4
    assert white.score < good.score


def test_size_is_measured_in_pixels_of_the_photo(portrait):
    image, face = portrait
    half = image.resize((image.width // 2, image.height // 2))
    small = measure_quality(half, face.moved(0, 0, 0.5))
    assert small.eye_distance == pytest.approx(
        measure_quality(image, face).eye_distance / 2, rel=0.01
    )
    same = measure_quality(half, face.moved(0, 0, 0.5), 2.0)
    assert same.eye_distance == pytest.approx(2 * small.eye_distance)


def test_a_turned_head_is_told_from_a_tilted_camera(portrait):
    _, face = portrait
    frontal = head_turn(face)
    assert frontal < 0.3
    angle = 0.6
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    tilted = type(face)(face.box, face.score, (face.points @ turn.T).astype(np.float32))
    assert head_turn(tilted) == pytest.approx(frontal, abs=1e-4)
    points = face.points.copy()
    points[2, 0] += 0.5 * (points[1, 0] - points[0, 0])  # the nose over the right eye
    assert head_turn(type(face)(face.box, face.score, points)) > frontal + 0.3


def test_degenerate_points_are_a_bad_pose_and_no_crash():
    image = Image.new("RGB", (80, 80))
    from faceverify.faces.detection import Face

    face = Face(
        (0, 0, 80, 80), 1.0, np.full((5, 2), 40, np.float32) + np.eye(5, 2, dtype=np.float32)
    )
    assert measure_quality(image, face).score == 0


def test_ramp():
    assert [ramp(value, 10, 20) for value in (5, 10, 15, 20, 25)] == [0, 0, 0.5, 1, 1]
    assert ramp(0.1, 0.5, 0.1) == 1  # downhill


def test_each_part_alone_spoils_the_score(portrait):
    image, face = portrait
    assert measure_quality(image, face).score == 1
    tiny = image.resize((image.width // 8, image.height // 8))
    small = measure_quality(tiny, face.moved(0, 0, 1 / 8))
    assert small.sharpness > 9  # all but the size is good
    assert small.score < 0.2
    posterised = image.convert("L").point(lambda level: 255 * (level > 128)).convert("RGB")
    clipped = measure_quality(posterised, face)
    assert clipped.contrast > 35
    assert clipped.score == 0
    points = face.points.copy()
    points[2, 0] += 0.8 * (points[1, 0] - points[0, 0])
    profile = type(face)(face.box, face.score, points)
    assert head_turn(profile) > 0.7
    assert measure_quality(image, profile).score < 0.5
