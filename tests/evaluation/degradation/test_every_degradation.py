"""Laws of all degradations, and what each of them does."""

from pathlib import Path

import numpy as np
import pytest
from photographs import OBAMA
from PIL import Image

from faceverify.errors import UsageError
from faceverify.evaluation.degradation import DEGRADATIONS, degrade
from faceverify.evaluation.degradation.face_frame import CROP, FaceFrame

KEY = b"a photo"
CELLS = [(kind, strength) for kind, one in DEGRADATIONS.items() for strength in one.strengths]
POINTS = np.array(CROP.points) * 1.5 + (40, 10)  # a face 1.5 times as large as its crop


@pytest.fixture(scope="module")
def photo():
    return np.asarray(Image.open(OBAMA).convert("RGB").resize((260, 230)))


@pytest.mark.parametrize(("kind", "strength"), CELLS)
def test_a_photo_stays_a_photo(kind, strength, photo):
    before = photo.copy()
    found = degrade(kind, strength, photo, POINTS, key=KEY)
    assert found.dtype == np.uint8
    assert sorted(found.shape) == sorted(photo.shape)
    assert found.shape == photo.shape or strength in (90, 270)
    assert not np.array_equal(found, photo)
    np.testing.assert_array_equal(photo, before)  # the photo given is not touched


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_it_depends_on_photo_and_key_alone(kind, photo):
    strength = DEGRADATIONS[kind].strengths[:2][-1]
    first = degrade(kind, strength, photo, POINTS, key=KEY)
    degrade(kind, strength, photo[::-1], POINTS, key=b"another")  # draws of its own
    np.testing.assert_array_equal(degrade(kind, strength, photo, POINTS, key=KEY), first)


@pytest.mark.parametrize(
    "kind", ["motion", "noise", "dark", "mask", "bar", "hand", "turned", "side-light"]
)
def test_photos_differ_in_their_draws(kind, photo):
    strength = DEGRADATIONS[kind].strengths[2]
    found = {degrade(kind, strength, photo, POINTS, key=bytes([n])).tobytes() for n in range(8)}
    assert len(found) > 1


@pytest.mark.parametrize("kind", [kind for kind in DEGRADATIONS if kind not in ("turned", "hand")])
def test_the_stronger_the_further_from_the_photo(kind, photo):
    """hand: a larger one starts elsewhere; turned: no order."""
    strengths = DEGRADATIONS[kind].strengths
    assert list(strengths) == sorted(strengths)
    errors = [
        np.mean((degrade(kind, strength, photo, POINTS, key=KEY) - photo.astype(float)) ** 2)
        for strength in strengths
    ]
    assert errors == sorted(errors)


def test_strengths_follow_the_face(photo):
    """A face twice as large in a photo twice as large loses the same."""
    large = photo.repeat(2, axis=0).repeat(2, axis=1)
    for kind in ("blocks", "enlarged", "mask", "bar", "hand"):
        strength = DEGRADATIONS[kind].strengths[2]
        small = degrade(kind, strength, photo, POINTS, key=KEY).astype(float)
        found = degrade(kind, strength, large, POINTS * 2 + 0.5, key=KEY)
        halved = found.reshape(230, 2, 260, 2, 3).mean(axis=(1, 3))
        assert np.abs(halved - small).mean() < 2.5, kind


@pytest.mark.parametrize("kind", ["mask", "bar", "hand", "top-light", "under-light"])
def test_what_is_drawn_turns_with_the_face(kind, photo):
    middle = np.array([photo.shape[1] - 1, photo.shape[0] - 1]) / 2
    upside_down = 2 * middle - POINTS
    strength = DEGRADATIONS[kind].strengths[3]
    found = degrade(kind, strength, photo, POINTS, key=KEY)
    turned = degrade(kind, strength, photo[::-1, ::-1], upside_down, key=KEY)[::-1, ::-1]
    different = np.any(found != turned, axis=2).mean()
    assert different < 0.03  # the edges of polygons


def test_blocks_are_of_one_colour():
    noisy = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    found = degrade("blocks", 4, noisy, POINTS, key=KEY)  # 1.5 x 4 = 6 pixels
    tiles = found.reshape(10, 6, 10, 6, 3)
    assert (tiles == tiles[:, :1, :, :1]).all()
    means = noisy.reshape(10, 6, 10, 6, 3).mean(axis=(1, 3))
    assert np.abs(tiles[:, 0, :, 0] - means).max() <= 1  # Pillow rounds rows, then columns


def test_a_bar_covers_the_eyes_and_a_mask_the_mouth(photo):
    for kind, covered in (("bar", (0, 1)), ("mask", (3, 4))):
        found = degrade(kind, 0.3, photo, POINTS, key=KEY)
        at = [tuple(found[round(y), round(x)]) for x, y in POINTS]
        was = [tuple(photo[round(y), round(x)]) for x, y in POINTS]
        assert [n for n in range(5) if at[n] != was[n]] == list(covered)


def test_noise_has_its_deviation():
    grey = np.full((300, 300, 3), 128, np.uint8)
    found = degrade("noise", 20, grey, POINTS, key=KEY).astype(float)
    assert found.std() == pytest.approx(20 * 1.5, rel=0.02)
    assert found.mean() == pytest.approx(128, abs=0.5)


def test_darkness_divides_the_light():
    grey = np.full((300, 300, 3), 200, np.uint8)
    assert degrade("dark", 10, grey, POINTS, key=KEY).mean() == pytest.approx(20, abs=0.1)


def test_motion_spreads_a_point_along_a_line():
    point = np.zeros((81, 81, 3), np.uint8)
    point[40, 40] = 255
    found = degrade("motion", 10, point, POINTS, key=KEY)[:, :, 0]  # 15 pixels
    rows, columns = np.nonzero(found)
    assert len(rows) >= 10
    assert np.hypot(np.ptp(rows), np.ptp(columns)) == pytest.approx(14, abs=1.5)
    middle = np.stack([rows - rows.mean(), columns - columns.mean()])
    assert np.linalg.svd(middle)[1][1] < 0.15 * np.linalg.svd(middle)[1][0]  # on one line


@pytest.mark.parametrize("kind", ["blocks", "blur", "motion", "enlarged"])
def test_what_takes_detail_keeps_brightness(kind, photo):
    for strength in DEGRADATIONS[kind].strengths[:3]:
        found = degrade(kind, strength, photo, POINTS, key=KEY)
        assert found.mean() == pytest.approx(photo.mean(), abs=0.4)


def test_quarter_turns_are_exact(photo):
    quarter = degrade("turned", 90, photo, POINTS, key=KEY)
    np.testing.assert_array_equal(
        degrade("turned", 90, quarter, POINTS, key=KEY), photo[::-1, ::-1]
    )
    np.testing.assert_array_equal(degrade("turned", 270, quarter, POINTS, key=KEY), photo)


def test_a_small_turn_is_undone_by_the_other(photo):
    rounds = {degrade("turned", 15, photo, POINTS, key=bytes([n])).tobytes() for n in range(9)}
    assert len(rounds) == 2  # to the left and to the right


def test_frames_of_faces():
    frame = FaceFrame.of(POINTS)
    assert frame.scale == pytest.approx(1.5)
    np.testing.assert_allclose(frame.place(CROP.points), POINTS, atol=1e-9)
    assert FaceFrame.of(POINTS / 1000).pixels(1) == 1  # never no pixel


def test_photos_of_a_few_pixels():
    tiny = np.full((3, 2, 3), 90, np.uint8)
    for kind, strength in CELLS:
        assert degrade(kind, strength, tiny, POINTS / 50, key=KEY).size == tiny.size


def test_an_unknown_kind():
    with pytest.raises(UsageError, match="no degradation 'fog'; known: blocks, "):
        degrade("fog", 1, np.zeros((9, 9, 3), np.uint8), POINTS, key=KEY)


def test_every_kind_has_a_file():
    folder = Path(__file__).parents[3] / "faceverify" / "evaluation" / "degradation"
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "face_frame", "linear_light"}
    assert {one.apply.__module__.rsplit(".", 1)[-1] for one in DEGRADATIONS.values()} == files


def test_mirrored_twice_is_the_photo(photo):
    once = degrade("mirrored", 1, photo, POINTS, key=KEY)
    np.testing.assert_array_equal(once[:, ::-1], photo)


@pytest.mark.parametrize("kind", ["top-light", "under-light", "side-light"])
def test_light_falls_from_one_end_of_the_face_to_the_other(kind):
    """By its strength, in amounts of light (sRGB), and no further beyond the face."""
    grey = np.full((220, 260, 3), 110, np.uint8)
    found = degrade(kind, 4, grey, POINTS, key=KEY)[..., 0] / 255
    light = ((found + 0.055) / 1.055) ** 2.4
    along = light.mean(axis=1) if kind != "side-light" else light.mean(axis=0)
    ends = along[[0, -1]] / ((110 / 255 + 0.055) / 1.055) ** 2.4
    assert sorted(ends) == pytest.approx([0.5, 2], rel=0.02)
    across = light.std(axis=1 if kind != "side-light" else 0)
    assert across.max() < 1e-9
    if kind != "side-light":
        assert (ends[0] > ends[1]) == (kind == "top-light")


@pytest.mark.parametrize(("kind", "channel"), [("warm", 0), ("cold", 2)])
def test_a_cast_is_a_factor_a_channel(kind, channel):
    grey = np.full((30, 30, 3), 120, np.uint8)
    found = degrade(kind, 4, grey, POINTS, key=KEY)[0, 0] / 255
    light = ((found + 0.055) / 1.055) ** 2.4
    assert light[channel] / light[2 - channel] == pytest.approx(4, rel=0.03)
    assert light[channel] / light[1] == pytest.approx(2, rel=0.03)
    assert found[1] == 120 / 255
