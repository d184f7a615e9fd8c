"""Similarity transforms and crops, against least squares, known pictures and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from faceverify.faces.alignment import (
    REFERENCE_POINTS,
    BoxCrop,
    FivePoints,
    jitters,
)
from faceverify.faces.detection import TURNS, Face, turned_back
from faceverify.faces.similarity import similarity, warp

HALF = 0.5  # pixels from the edge of the first one, where points count from, to its centre
POINTS = np.array(REFERENCE_POINTS["arcface-112"].points)


@given(st.floats(-3.1, 3.1), st.floats(0.05, 20), st.floats(-500, 500), st.floats(-500, 500))
def test_similarity_recovers_what_moved_the_points(angle, scale, dx, dy):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = similarity(POINTS, POINTS @ turn.T + (dx, dy))
    assert np.allclose(matrix, np.hstack([turn, [[dx], [dy]]]), atol=1e-6 * max(1, scale) * 500)


@pytest.mark.parametrize("weights", [None, [1, 1, 0, 1, 1], [3, 1, 0.5, 1, 1]])
def test_similarity_is_the_weighted_least_squares_fit(weights):
    target = POINTS + np.random.default_rng(2).normal(0, 4, POINTS.shape)
    # unknowns a, b, tx, ty of x' = a x - b y + tx, y' = b x + a y + ty
    rows, values = [], []
    for (x, y), (u, v), w in zip(POINTS, target, weights or [1] * 5, strict=True):
        rows += [[x * w**0.5, -y * w**0.5, w**0.5, 0], [y * w**0.5, x * w**0.5, 0, w**0.5]]
        values += [u * w**0.5, v * w**0.5]
    a, b, tx, ty = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    assert np.allclose(similarity(POINTS, target, weights), [[a, -b, tx], [b, a, ty]])


def dotted(points: np.ndarray, size: tuple[int, int], radius: float) -> Image.Image:
    """Soft white dots on black, centred on points counted from the middle of the first pixel."""
    y, x = np.mgrid[: size[1], : size[0]]
    dots = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * radius**2)) for px, py in points]
    return Image.fromarray((np.max(dots, axis=0) * 255).astype(np.uint8)).convert("RGB")


def centres(image: Image.Image, points: np.ndarray, reach: int) -> np.ndarray:
    """Centre of brightness around each point."""
    grey = np.asarray(image.convert("L"), float)
    found = []
    for x, y in points:
        left, top = round(x) - reach, round(y) - reach
        patch = grey[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
        rows, columns = np.mgrid[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
        found.append((np.average(columns, weights=patch), np.average(rows, weights=patch)))
    return np.array(found)


@pytest.mark.parametrize("scale", [0.6, 1.0, 3.7, 11.0])
@pytest.mark.parametrize("angle", [0.0, 0.4, -2.5])
def test_points_land_on_the_reference_points(scale: float, angle: float):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = POINTS @ turn.T
    points += 60 * scale - points.min(axis=0)
    size = tuple(np.ceil(points.max(axis=0) + 60 * scale).astype(int).tolist())
    photo = dotted(points, size, 2 * scale)
    face = Face((0, 0, 1, 1), 1.0, (points + HALF).astype(np.float32))
    crop = FivePoints(tuple(map(tuple, (POINTS + HALF).tolist()))).crop(photo, face, (112, 112))
    assert np.abs(centres(crop, POINTS, 7) - POINTS).max() < 0.1


def test_shrinking_does_not_alias():
    stripes = np.zeros((900, 900, 3), np.uint8)
    stripes[:, ::2] = 255  # one pixel black, one white: grey at any smaller scale
    matrix = np.array([[0.1137, 0.0, 0.3], [0.0, 0.1137, 0.4]])
    crop = np.asarray(warp(Image.fromarray(stripes), matrix, (90, 90)), float)[5:-5, 5:-5]
    assert abs(crop.mean() - 127.5) < 2
    assert crop.std() < 6


def test_beyond_the_photo_is_black():
    white = Image.new("RGB", (50, 50), "white")
    crop = np.asarray(warp(white, np.array([[1.0, 0, 40], [0, 1.0, 40]]), (100, 100)))
    assert (crop[:39, :39] == 0).all()
    assert (crop[42:88, 42:88] == 255).all()
    far = warp(white, np.array([[0.5, 0, 400], [0, 0.5, 400]]), (100, 100))
    assert not np.asarray(far).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 50), st.floats(0.02, 30), st.floats(-3.1, 3.1), st.floats(-300, 300))
def test_any_similarity_of_any_photo_gives_a_crop(side, scale, angle, shift):
    photo = Image.new("RGB", (side, 2 * side), (10, 200, 90))
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    crop = warp(photo, np.array([[c, -s, shift], [s, c, -shift]]), (40, 30))
    assert crop.size == (40, 30)


def test_box_crop_widens_by_its_margin_and_stays_within_the_photo():
    photo = Image.fromarray(
        np.arange(100 * 100 * 3, dtype=np.uint32).astype(np.uint8).reshape(100, 100, 3)
    )
    face = Face((30.0, 20.0, 70.0, 80.0), 1.0, POINTS.astype(np.float32))
    assert (
        BoxCrop(0.0).crop(photo, face, (40, 60)).tobytes() == photo.crop((30, 20, 70, 80)).tobytes()
    )
    assert (
        BoxCrop(0.5).crop(photo, face, (80, 100)).tobytes()
        == photo.crop((10, 0, 90, 100)).tobytes()
    )


def test_box_crop_of_a_turned_photo_is_upright():
    photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8))
    face = Face((20, 10, 60, 50), 1.0, np.zeros((5, 2), np.float32))
    turned = photo.transpose(TURNS[270])
    upright = BoxCrop().crop(photo, face, (32, 32))
    beside = turned_back(face, 90, turned.size)  # the face is upright in the turned photo turned
    assert np.array_equal(BoxCrop().crop(turned, beside, (32, 32)), upright)


def test_known_crop_is_a_face_that_fills_it():
    known = REFERENCE_POINTS["arcface-112"]
    face = known.face((224, 224))
    assert np.allclose(face.points, 2 * POINTS, atol=1e-4)
    crop = FivePoints(known.points).crop(Image.new("RGB", (224, 224), "white"), face, (112, 112))
    assert (np.asarray(crop)[1:-1, 1:-1] == 255).all()


def test_variants_begin_with_the_alignment_itself():
    alignment = FivePoints(REFERENCE_POINTS["dlib-150"].points)
    variants = alignment.variants(5, (150, 150))
    assert len(set(variants)) == 5
    assert np.allclose(variants[0].points, alignment.points, atol=1e-3)
    assert jitters(1, (150, 150)) == [(1.0, (0.0, 0.0))]
    zooms = [zoom for zoom, _ in jitters(32, (150, 150))]
    assert min(zooms) >= 0.94
    assert max(zooms) <= 1.06
