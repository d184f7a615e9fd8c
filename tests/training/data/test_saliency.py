"""Saliency: the spectral residual written out; crops drawn where it says; the same in any batch."""

import math

import numpy as np
import pytest
import torch
from generated_people import tiny_config, write_people

from faceverify.errors import TrainingError
from faceverify.training.config.augmentation import NONE, Augmentation
from faceverify.training.data.saliency import (
    EVEN,
    SIDE,
    SIGMA,
    drawn_places,
    saliency,
    spectral_residual,
)
from faceverify.training.data.transforms import DRAWS, Transform, resized_crops
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.train import train_model

CROPS = Augmentation(**{**vars(NONE), "least_area": 0.2, "most_area": 0.2, "aspect": 1.0})


def written_out(grey):
    """Equations 6 to 10, one number at a time."""
    side = len(grey)
    spectrum = np.fft.fft2(grey)
    logs = [[math.log(abs(value)) for value in row] for row in spectrum]
    changed = np.zeros((side, side), complex)
    for y in range(side):
        for x in range(side):
            around = [
                logs[(y + down) % side][(x + across) % side]
                for down in (-1, 0, 1)
                for across in (-1, 0, 1)
            ]
            residual = logs[y][x] - sum(around) / 9
            phase = math.atan2(spectrum[y, x].imag, spectrum[y, x].real)
            changed[y, x] = math.exp(residual) * complex(math.cos(phase), math.sin(phase))
    sharp = np.abs(np.fft.ifft2(changed)) ** 2
    return np.array([
        [
            sum(
                sharp[v, u] * math.exp(-((v - y) ** 2 + (u - x) ** 2) / (2 * SIGMA**2))
                for v in range(side)
                for u in range(side)
            )
            for x in range(side)
        ]
        for y in range(side)
    ])  # fmt: skip


def test_the_equations_written_out():
    grey = np.random.default_rng(0).uniform(0, 255, (8, 8))
    (found,) = spectral_residual(grey[None])
    np.testing.assert_allclose(found, written_out(grey), rtol=1e-9)


def spots(*places, side=64):
    """Smooth waves with a bright spot each, at (y, x), uint8, (N, 3, side, side)."""
    waves = 100 + 5 * np.sin(2 * np.pi * np.arange(side) / side)
    images = np.tile(waves[:, None] + waves - 100, (len(places), 3, 1, 1)).astype(np.uint8)
    for image, (y, x) in zip(images, places, strict=True):
        image[:, y - 3 : y + 3, x - 3 : x + 3] = 255
    return torch.from_numpy(images)


PLACES = [(16, 48), (50, 12), (30, 30)]


def test_what_stands_out_is_salient():
    for place, found in zip(PLACES, saliency(spots(*PLACES)), strict=True):
        assert found.sum() == pytest.approx(1)
        assert found.min() >= EVEN / SIDE**2
        peak = np.unravel_index(found.argmax(), found.shape)
        assert np.abs(np.array(peak) * 64 / SIDE - place).max() <= 4


def test_nothing_stands_out_of_one_colour():
    (found,) = saliency(torch.full((1, 3, 20, 30), 77, dtype=torch.uint8))
    np.testing.assert_allclose(found, 1 / SIDE**2)


def test_a_map_does_not_depend_on_the_batch():
    images = spots(*PLACES, *reversed(PLACES))
    together = saliency(images)
    for number in range(len(images)):
        assert np.array_equal(saliency(images[number : number + 1])[0], together[number])


def test_places_are_drawn_as_often_as_the_map_says():
    rng = np.random.default_rng(2)
    shares = rng.uniform(0, 1, (3, 5))
    shares[1, 2] = 0
    shares /= shares.sum()
    down, across = drawn_places(np.tile(shares, (90_000, 1, 1)), *rng.uniform(0, 1, (2, 90_000)))
    found = np.histogram2d(down, across, (3, 5), ((0, 1), (0, 1)))[0] / 90_000
    np.testing.assert_allclose(found, shares, atol=0.006)
    assert found[1, 2] == 0


def test_crops_show_what_is_salient():
    images, draws = spots((16, 48)), np.random.default_rng(3).uniform(0, 1, (200, DRAWS))
    shown = {}
    for crops in ("uniform", "saliency"):
        made = Transform((64, 64), (0, 0, 0), (1, 1, 1), augmentation=CROPS, crops=crops)
        views = made(images.expand(200, -1, -1, -1), draws)
        shown[crops] = float((views.amax(dim=(1, 2, 3)) > 200).float().mean())
    assert shown["saliency"] > 1.5 * shown["uniform"] > 0.2


def test_crops_about_an_edge_are_moved_inside():
    draws = np.random.default_rng(3).uniform(0, 1, (4, DRAWS))
    edges = np.array([0.0, 0.01, 0.99, 1.0])
    for map_ in resized_crops(draws, CROPS, (64, 64), (edges, edges[::-1])):
        for axis in (0, 1):
            start, end = map_[axis, 2], map_[axis, 2] + 64 * map_[axis, axis]
            assert 0 <= start <= end <= 64 + 1e-9


def test_a_frame_of_another_alignment_is_followed():
    """The spot is looked for in what the backbone sees: here the right half of the crop."""
    images = spots((16, 16), (16, 48)).flip(0)[:1]
    frame = ((0.5, 0.0, 32.0), (0.0, 1.0, 0.0))  # output to crop
    made = Transform((64, 64), (0, 0, 0), (1, 1, 1), augmentation=CROPS, frame=frame,
                     crops="saliency")  # fmt: skip
    draws = np.random.default_rng(3).uniform(0, 1, (100, DRAWS))
    views = made(images.expand(100, -1, -1, -1), draws)
    assert float((views.amax(dim=(1, 2, 3)) > 200).float().mean()) > 0.8


def test_a_view_does_not_depend_on_the_batch():
    images = spots(*PLACES)
    draws = np.random.default_rng(4).uniform(0, 1, (3, DRAWS))
    varied = Augmentation(least_area=0.3, colour=1.0, blur=0.5)
    made = Transform((48, 48), augmentation=varied, crops="saliency")
    together = made(images, draws)
    for number in range(3):
        alone = made(images[number : number + 1], draws[number : number + 1])
        assert torch.equal(alone[0], together[number])


@pytest.mark.thorough
def test_a_run_with_salient_crops(tmp_path):
    photos = write_people(tmp_path / "photos")
    given = {"method": {"name": "swav", "prototypes": 12}, "views": {"crops": "saliency"},
             "backbone": {"neck": "pool"}, "budget": {"steps": 2}}  # fmt: skip
    config = tiny_config(photos, **given, augmentation={"least_area": 0.5})
    assert train_model(config, RunFolder(tmp_path / "run")).model.is_file()
    with pytest.raises(TrainingError, match=r"views.crops is saliency, and .* 1: there are no cro"):
        tiny_config(photos, **given)
