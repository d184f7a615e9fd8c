"""Quality: each component falls as its cause grows, and the worst one decides."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from faceverify.errors import LowQualityError
from faceverify.evaluation.degradation import degrade
from faceverify.faces.alignment import named_alignment, reference_points
from faceverify.faces.detection import Face
from faceverify.faces.finder import FaceFinder
from faceverify.faces.options import FaceOptions
from faceverify.faces.quality import (
    DETAIL,
    EYE_COVER,
    EYE_DETAIL,
    FLATNESS,
    GRID,
    RESPONSE,
    even,
    head_turn,
    lines,
    measure_quality,
    ramp,
)

BLURRED, EYE, PIXELATED, LITTLE = (
    "blurred, enlarged or moved",
    "an eye cannot be seen",
    "pixelated or compressed",
    "the model finds little in it",
)

# kind: strengths, the component that they change, its direction, and what is said of the strongest
WORSE = {
    "blur": ((1, 2, 4, 6), "detail", -1, BLURRED),
    "motion": ((5, 10, 20, 30), "detail", -1, BLURRED),
    "enlarged": ((2, 4, 6, 8), "detail", -1, BLURRED),
    "blocks": ((2, 4, 6, 8), "flatness", 1, PIXELATED),
    "jpeg": ((100,), "flatness", 1, PIXELATED),
    "bar": ((0.05, 0.1, 0.15), "eye_cover", 1, EYE),
}


@pytest.fixture(scope="module", params=["biden", "obama", "obama2", "obama3"])
def portrait(request, detector, photos):
    photo = photos[request.param].copy()
    photo.thumbnail((1000, 1000))
    (face,) = detector.detect(photo)
    return photo, detector.locate(photo, face)


@pytest.fixture(scope="module")
def good(portrait):
    return measure_quality(*portrait)


def degraded(portrait, kind, strength):
    photo, face = portrait
    changed = degrade(kind, strength, np.asarray(photo), face.points, key=b"")
    return measure_quality(Image.fromarray(changed), face)


def test_a_good_portrait_has_all_of_it(good):
    assert good.score == 1
    assert 60 < good.brightness < 200
    assert good.turn < 0.3


@pytest.mark.parametrize("kind", WORSE)
def test_the_worse_the_photo_the_lower_the_score(portrait, good, kind):
    strengths, component, direction, weakness = WORSE[kind]
    found = [good, *(degraded(portrait, kind, strength) for strength in strengths)]
    scores = [quality.score for quality in found]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < 0.75 < 0.9 < scores[0]
    measured = [direction * getattr(quality, component) for quality in found]
    assert np.diff(measured).min() > -0.01
    assert measured[-1] > measured[0]
    assert found[-1].weakness == weakness


@pytest.mark.parametrize(
    ("component", "value", "weakness"),
    [
        ("detail", 3, BLURRED),
        ("eye_detail", 2, EYE),
        ("eye_cover", 0.6, EYE),
        ("flatness", 0.3, PIXELATED),
        ("grid", 3, PIXELATED),
    ],
)
def test_each_component_has_its_word(good, component, value, weakness):
    assert replace(good, **{component: value}).weakness == weakness


@pytest.fixture
def crop(detector, photos):
    """A good aligned crop, and where its face lies in it."""
    (face,) = detector.detect(photos["obama"])
    face = detector.locate(photos["obama"], face)
    alignment, side = named_alignment("arcface-112")
    cut = alignment.crop(photos["obama"], face, (side, side))
    return cut, reference_points("arcface-112").face(cut.size)


def test_a_mosaic_that_shines_through_is_told_by_its_grid(crop):
    photo, face = crop
    mosaic = photo.reduce(8).resize(photo.size, Image.Resampling.NEAREST)
    found = measure_quality(Image.blend(photo, mosaic, 0.7), face)
    assert found.score <= ramp(found.grid, *GRID) < ramp(found.flatness, *FLATNESS)
    assert found.weakness == PIXELATED


EYES = ((26, 42, 52, 62), (60, 42, 86, 62))


def covered(photo: Image.Image, eye) -> None:
    """Cover an eye in place, with glints, as on sunglasses."""
    left, top, right, bottom = eye
    photo.paste((90, 70, 60), (left, top + 3, right, bottom - 2))
    photo.paste((255, 255, 255), (left + 4, 46, left + 7, 49))
    photo.paste((255, 255, 255), (left + 17, 54, left + 20, 57))


def test_of_two_eyes_the_better_one_counts(crop):
    photo, face = crop
    for eye in EYES:  # a profile shows one
        one = photo.copy()
        covered(one, eye)
        assert measure_quality(one, face).score == 1
    both = photo.copy()
    for eye in EYES:
        covered(both, eye)
    found = measure_quality(both, face)
    others = ramp(found.eye_detail, *EYE_DETAIL), ramp(found.flatness, *FLATNESS)
    assert found.score == ramp(found.eye_cover, *EYE_COVER) < min(others)
    assert found.weakness == EYE


def test_eyes_without_detail_spoil_the_score(crop):
    photo, face = crop
    smeared = photo.copy()
    for eye in EYES:
        smeared.paste(photo.crop(eye).filter(ImageFilter.GaussianBlur(2)), eye)
    found = measure_quality(smeared, face)
    assert found.score == ramp(found.eye_detail, *EYE_DETAIL) < ramp(found.detail, *DETAIL)
    assert found.weakness == EYE


def test_a_dark_photo_keeps_most_of_it(portrait):
    dark = degraded(portrait, "dark", 4)
    assert dark.brightness < 45
    assert dark.score > 0.6


def test_grain_costs_nothing(portrait):
    # what noise takes from an embedding, the model's own component tells
    assert degraded(portrait, "noise", 50).score == 1


def test_nothing_but_one_colour_has_none(portrait):
    _, face = portrait
    assert measure_quality(Image.new("RGB", (1000, 1000), "gray"), face).score == 0


# --- the model's component


@pytest.mark.parametrize(
    ("response", "score"), [(2, 1), (1, 1), (0.825, 0.5), (RESPONSE[0], 0), (0.1, 0)]
)
def test_a_short_embedding_lowers_the_score(good, response, score):
    found = good.with_response(response)
    assert found.score == pytest.approx(score)
    assert found.response == response
    if score < 1:
        assert found.weakness == LITTLE


def test_a_long_embedding_raises_no_score(portrait):
    blurred = degraded(portrait, "blur", 2)
    assert blurred.score < 0.5
    found = blurred.with_response(1.5)
    assert found.score == blurred.score
    assert found.weakness == BLURRED


def test_without_a_model_nothing_is_said_of_it(good):
    assert good.response == 0
    assert good.weakness != LITTLE


# --- what is refused


def test_the_refusal_says_what_is_wrong_with_the_best_face(detector, photos, tmp_path):
    photo = photos["obama"].copy()
    photo.thumbnail((500, 500))
    photo.resize((40, 50)).resize(photo.size).save(tmp_path / "blurred.png")
    with pytest.raises(LowQualityError) as caught:
        FaceFinder(detector, FaceOptions(min_quality=0.3)).find(tmp_path / "blurred.png")
    assert f"below the required 0.3 ({BLURRED})" in str(caught.value)
    assert FaceFinder(detector).find(tmp_path / "blurred.png")[0].quality.score < 0.3


# --- what does not count


def test_size_is_measured_in_pixels_of_the_photo(portrait, good):
    photo, face = portrait
    half = photo.resize((photo.width // 2, photo.height // 2))
    small = measure_quality(half, face.moved(0, 0, 0.5))
    assert small.eye_distance == pytest.approx(good.eye_distance / 2, rel=0.01)
    same = measure_quality(half, face.moved(0, 0, 0.5), 2.0)
    assert same.eye_distance == pytest.approx(2 * small.eye_distance)


def test_a_turned_photo_has_the_quality_of_the_upright_one(detector, portrait, good):
    photo, _ = portrait
    turned = photo.transpose(Image.Transpose.ROTATE_90)
    (face,) = detector.detect(turned)
    found = measure_quality(turned, detector.locate(turned, face))
    assert face.turned == 270
    assert found.detail == pytest.approx(good.detail, rel=0.02)
    assert found.score == 1


def test_a_turned_head_is_told_from_a_tilted_camera(portrait):
    _, face = portrait
    frontal = head_turn(face)
    angle = 0.6
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    tilted = replace(face, points=(face.points @ turn.T).astype(np.float32))
    assert head_turn(tilted) == pytest.approx(frontal, abs=1e-4)
    points = face.points.copy()
    points[2, 0] += 0.8 * (points[1, 0] - points[0, 0])  # the nose beyond the right eye
    assert head_turn(replace(face, points=points)) > frontal + 0.3


def test_degenerate_points_are_no_quality_and_no_crash():
    points = np.full((5, 2), 40, np.float32) + np.eye(5, 2, dtype=np.float32)
    found = measure_quality(Image.new("RGB", (80, 80)), Face((0, 0, 80, 80), 1.0, points))
    assert found.score == 0


# --- its parts, by hand


def test_ramp():
    assert [ramp(value, 10, 20) for value in (5, 10, 15, 20, 25)] == [0, 0, 0.5, 1, 1]
    assert ramp(0.1, 0.5, 0.1) == 1  # downhill


def test_even_is_where_all_neighbours_are_alike():
    grey = np.zeros((5, 6), np.float32)
    grey[2, 5] = 3
    assert even(grey, 2).tolist() == [[True, True, True, False]] * 3
    assert even(grey, 3).all()


def test_lines_stand_out_in_a_mosaic_and_not_in_stripes():
    fine = np.random.default_rng(0).integers(0, 255, (80, 80)).astype(np.float32)
    mosaic = np.kron(fine[:10, :10], np.ones((8, 8), np.float32))
    assert lines(fine) < 1.3
    assert lines(mosaic) > 100
    assert lines(fine + 200 * (np.arange(80) // 8 % 2)) < 1.3  # in one direction alone
