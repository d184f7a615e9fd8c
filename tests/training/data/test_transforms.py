"""Transforms: each against another implementation, and an image's result is its own."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from face_files import picture
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as v2

from faceverify.errors import TrainingError
from faceverify.training.config.augmentation import NONE, Augmentation
from faceverify.training.config.fields import section_from_dict
from faceverify.training.data import transforms
from faceverify.training.data.loading.counter_rng import GOLDEN, mixed, occurrences, sample_draws
from faceverify.training.data.transforms import DRAWS, Transform, placements, warped
from faceverify.training.data.views import View

ALL = Augmentation(1, 1, 1, 0.3, 0.5, 0.5, 0.5, 0.5)


def pictures(count, side=24):
    """uint8, (count, 3, side, side)."""
    arrays = [np.array(picture(seed, (side, side))) for seed in range(count)]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def draws_of(count, **columns):
    """Draws that choose nothing, but for the columns named."""
    draws = np.full((count, DRAWS), 0.5)
    for chance in ("FLIP", "CROP", "COLOUR", "GREYED", "LOW_RESOLUTION", "BLUR", "JPEG"):
        draws[:, getattr(transforms, chance)] = 0.999
    draws[:, [transforms.OCCLUSION, transforms.SOLARISE]] = 0.999
    for name, value in columns.items():
        draws[:, getattr(transforms, name)] = value
    return draws


def pixels(images, how, draws, side=24):
    """The transform's result as pixels of 0 to 255."""
    transform = Transform((side, side), mean=(0,) * 3, scale=(1,) * 3, augmentation=how)
    return transform(images, draws)


# Draws


def test_the_hash_is_splitmix64():
    """The first numbers of the generator seeded with 0 and with 1234567, as published."""
    zero = mixed(np.array([GOLDEN]))
    assert zero.tolist() == [0xE220A8397B1DCDAF]
    state = np.uint64(1234567) + np.arange(1, 4, dtype=np.uint64) * GOLDEN
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert mixed(state).tolist() == published


def splitmix(word):
    mask = 2**64 - 1
    word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & mask
    word = ((word ^ word >> 27) * 0x94D049BB133111EB) & mask
    return word ^ word >> 31


def test_a_draw_written_out_in_whole_numbers():
    golden, mask = 0x9E3779B97F4A7C15, 2**64 - 1
    seed, epoch, step = 3, 1, 17
    found = sample_draws(seed, epoch, step, np.array([8, 5, 8]), 2)
    for row, (index, times) in enumerate([(8, 0), (5, 0), (8, 1)]):
        key = 0
        for part in (seed, epoch, step, index, times):
            key = splitmix((key + golden + part) & mask)
        for column in range(2):
            word = splitmix((key + (column + 1) * golden) & mask)
            assert found[row, column] == (word >> 11) / 2**53


def test_draws_are_even_and_of_their_own():
    draws = sample_draws(0, 0, 0, np.arange(4000), 25)
    counts, _ = np.histogram(draws, 50, (0, 1))
    expected = draws.size / 50
    assert ((counts - expected) ** 2 / expected).sum() < 90  # chi squared, 49: p of 0.0003
    assert np.abs(np.corrcoef(draws.T) - np.eye(25)).max() < 0.08
    others = [sample_draws(*key, np.arange(4000), 1)[:, 0] for key in
              [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]]  # fmt: skip
    assert np.abs(np.corrcoef(others) - np.eye(4)).max() < 0.08
    neighbours = draws[:-1, 0], draws[1:, 0]
    assert abs(np.corrcoef(*neighbours)[0, 1]) < 0.06


@given(st.lists(st.integers(0, 5), max_size=20))
def test_occurrences_are_counted(indices):
    slow = [indices[:place].count(index) for place, index in enumerate(indices)]
    assert occurrences(np.array(indices, np.int64)).tolist() == slow


# Without variation


def test_nothing_but_normalised():
    images = pictures(5)
    found = Transform((24, 24))(images)
    assert torch.equal(found, (images.float() - 127.5) / 127.5)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert found.dtype == torch.float32


def test_means_by_channel_and_bgr():
    images = pictures(2)
    mean, scale = (122.782, 117.001, 104.298), (256.0, 255.0, 254.0)
    found = Transform((24, 24), mean=mean, scale=scale, colour_order="BGR")(images)
    for channel in range(3):
        wanted = (images[:, 2 - channel].double() - mean[channel]) / scale[channel]
        assert torch.allclose(found[:, channel].double(), wanted, atol=1e-6)


def test_a_frame_of_its_own():
    """A frame that shifts by whole pixels copies them; one that enlarges interpolates."""
    images = pictures(2)
    shifted = Transform((10, 12), (0,) * 3, (1,) * 3, frame=((1, 0, 5), (0, 1, 7)))(images)
    assert torch.allclose(shifted, images[:, :, 7:17, 5:17].float(), atol=1e-3)
    larger = Transform((48, 48), (0,) * 3, (1,) * 3)(images)
    wanted = torch.nn.functional.interpolate(
        images.float(), (48, 48), mode="bilinear", align_corners=False
    )
    assert torch.allclose(larger, wanted, atol=0.02)


# Each variation


def test_mirrored():
    images = pictures(4)
    draws = draws_of(4)
    draws[1:3, transforms.FLIP] = 0.4999
    found = pixels(images, replace(NONE, flip=0.5), draws)
    wanted = images.float()
    wanted[1:3] = wanted[1:3].flip(-1)
    assert torch.equal(found, wanted)


def bilinear(image, x, y):
    """A pixel at a place, slowly; mirrored at the edges. image: (H, W)."""
    height, width = image.shape

    def at(column, row):
        column, row = ((-1 - v) if v < 0 else v for v in (column, row))
        column = 2 * width - 1 - column if column >= width else column
        row = 2 * height - 1 - row if row >= height else row
        return image[row, column]

    x, y = x - 0.5, y - 0.5
    left, top = math.floor(x), math.floor(y)
    a, b = x - left, y - top
    return (
        (1 - a) * (1 - b) * at(left, top) + a * (1 - b) * at(left + 1, top)
        + (1 - a) * b * at(left, top + 1) + a * b * at(left + 1, top + 1)
    )  # fmt: skip


def test_cropped_pixel_by_pixel():
    images = pictures(3, side=12)
    how = replace(NONE, crop=1.0, zoom=0.3, shift=0.1, turn=20)
    rng = np.random.default_rng(0)
    draws = draws_of(3)
    for column in (transforms.ZOOM, transforms.SHIFT_X, transforms.SHIFT_Y, transforms.TURN):
        draws[:, column] = rng.random(3)
    found = pixels(images, how, draws, side=12).numpy()
    for index in range(3):
        zoom = 1.3 ** (2 * draws[index, transforms.ZOOM] - 1)
        angle = math.radians(20 * (2 * draws[index, transforms.TURN] - 1))
        shift = [1.2 * (2 * draws[index, c] - 1) for c in (transforms.SHIFT_X, transforms.SHIFT_Y)]
        for row in range(12):
            for column in range(12):
                u, v = column + 0.5 - 6, row + 0.5 - 6  # from the middle
                x = zoom * (math.cos(angle) * u - math.sin(angle) * v) + 6 + shift[0]
                y = zoom * (math.sin(angle) * u + math.cos(angle) * v) + 6 + shift[1]
                wanted = bilinear(images[index, 0].double().numpy(), x, y)
                assert abs(found[index, 0, row, column] - wanted) < 0.02


def test_a_placement_that_moves_nothing_is_the_identity():
    moves = placements(draws_of(1), replace(NONE, crop=1.0), (20, 30))
    assert np.allclose(moves, [[1, 0, 0], [0, 1, 0]])
    images = pictures(1).float()
    assert torch.allclose(warped(images, np.eye(3)[None, :2], (24, 24)), images, atol=1e-3)


@pytest.mark.parametrize(("b", "c", "s"), [(0.8, 1, 1), (1, 0.7, 1), (1, 1, 0.3), (1, 1, 1.6)])
def test_colours_as_torchvision(b, c, s):
    images = (pictures(3) // 3 + 80).to(torch.uint8)  # nothing to clip
    how = replace(NONE, colour=1.0, brightness=0.9, contrast=0.9, saturation=0.9)
    share = [(v - 0.1) / 1.8 for v in (b, c, s)]
    draws = draws_of(3, COLOUR=0.0, BRIGHTNESS=share[0], CONTRAST=share[1], SATURATION=share[2])
    floats = images.float() / 255
    wanted = v2.adjust_saturation(v2.adjust_contrast(v2.adjust_brightness(floats, b), c), s)
    assert torch.allclose(pixels(images, how, draws), wanted * 255, atol=0.2)


def test_colours_are_clipped():
    images = pictures(4)
    how = replace(NONE, colour=1.0, brightness=0.9)
    found = pixels(images, how, draws_of(4, COLOUR=0.0, BRIGHTNESS=0.99))
    assert float(found.max()) == 255
    assert float(found.min()) >= 0


def test_grey_as_torchvision():
    images = pictures(3)
    draws = draws_of(3, GREYED=0.0, BRIGHTNESS=0.9, CONTRAST=0.1)  # which nobody asked for
    found = pixels(images, replace(NONE, grey=1.0), draws)
    assert torch.allclose(found[:, 0], found[:, 2], atol=1e-3)
    wanted = v2.rgb_to_grayscale(images.float(), num_output_channels=3)
    assert torch.allclose(found, wanted, atol=0.1)


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_blurred_as_torchvision(share):
    images = pictures(2)
    found = pixels(images, replace(NONE, blur=1.0, radius=0.05), draws_of(2, BLUR=0, RADIUS=share))
    reach = math.ceil(3 * 0.05 * 24)
    wanted = v2.gaussian_blur(images.float(), [2 * reach + 1] * 2, [share * 0.05 * 24] * 2)
    assert torch.allclose(found, wanted, atol=0.01)


def test_low_resolution_as_pillow():
    (image,) = pictures(1)
    how = replace(NONE, low_resolution=1.0, resolution=0.25)
    found = pixels(image[None], how, draws_of(1, LOW_RESOLUTION=0.0, RESOLUTION=0.0))[0]
    from PIL import Image

    bilinear = Image.Resampling.BILINEAR
    small = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((6, 6), bilinear)
    wanted = np.asarray(small.resize((24, 24), bilinear)).astype(float)
    assert np.abs(found.permute(1, 2, 0).numpy() - wanted).max() < 2


def test_a_jpeg_of_lower_quality_is_further_off():
    images = pictures(2, side=32)
    how = replace(NONE, jpeg=1.0, quality=5)
    off = [
        float((pixels(images, how, draws_of(2, JPEG=0, QUALITY=q), side=32) - images).abs().mean())
        for q in (0.0, 0.4, 0.999)
    ]
    assert off[0] > off[1] > off[2] > 0


@given(st.integers(0, 2**31), st.floats(0.05, 0.5))
def test_a_rectangle_is_covered(seed, area):
    images = pictures(2)
    draws = sample_draws(seed, 0, 0, np.arange(2), DRAWS)
    draws[1, transforms.OCCLUSION] = 1.0
    found = pixels(images, replace(NONE, occlusion=0.99, area=area), draws)
    assert torch.equal(found[1], images[1].float())
    if draws[0, transforms.OCCLUSION] >= 0.99:
        return
    changed = (found[0] != images[0]).any(dim=0)
    rows, columns = (torch.nonzero(changed.any(dim=d)).flatten() for d in (1, 0))
    tall, wide = (int(v[-1] - v[0]) + 1 for v in (rows, columns))
    assert tall * wide <= area * 24 * 24 + 24  # rounding of each side
    inside = found[0][:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert bool((inside == inside[:, :1, :1]).all())


# Laws


@pytest.fixture
def one_thread():
    """As in the loader's workers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_an_images_result_is_its_own(monkeypatch):
    """Alone, in any company, in parts of any size, from any memory: the same bits."""
    images = pictures(40, side=32)
    draws = sample_draws(1, 2, 3, np.arange(40), DRAWS)
    transform = Transform((32, 32), augmentation=ALL)
    whole = transform(images, draws)
    alone = torch.cat([transform(images[i : i + 1], draws[i : i + 1]) for i in range(40)])
    assert torch.equal(alone, whole)
    order = np.random.default_rng(0).permutation(40)[:23]
    assert torch.equal(transform(images[order], draws[order]), whole[order])
    assert torch.equal(transform(images.contiguous(), draws), whole)
    monkeypatch.setattr(transforms, "PART", 7)
    assert torch.equal(transform(images, draws), whole)


def test_the_stored_crops_stay_as_they_are():
    images = pictures(8)
    before = images.clone()
    Transform((24, 24), augmentation=ALL)(images, np.zeros((8, DRAWS)))
    assert torch.equal(images, before)


@given(st.integers(0, 2**31))
def test_no_pixel_leaves_its_range(seed):
    images = pictures(4)
    found = pixels(images, ALL, sample_draws(seed, 0, 0, np.arange(4), DRAWS))
    assert float(found.min()) >= -1e-3
    assert float(found.max()) <= 255 + 1e-3
    assert bool(torch.isfinite(found).all())


def test_chances_are_kept():
    images = pictures(1).expand(1000, -1, -1, -1)
    draws = sample_draws(0, 0, 0, np.arange(1000), DRAWS)
    for name in ("flip", "crop", "colour", "low_resolution", "jpeg", "occlusion"):
        changed = (pixels(images, replace(NONE, **{name: 0.3}), draws) != images).flatten(1)
        assert 0.25 < float(changed.any(dim=1).float().mean()) < 0.35, name


@pytest.mark.parametrize("value", [-0.1, 1.1, "x"])
def test_impossible_chances_are_refused(value):
    with pytest.raises(TrainingError, match=r"augmentation\.flip"):
        section_from_dict(Augmentation, {"flip": value}, "augmentation.")


@pytest.mark.gpu
def test_the_gpu_agrees():
    images = pictures(32, side=112)
    draws = sample_draws(0, 0, 0, np.arange(32), DRAWS)
    transform = Transform((112, 112), augmentation=replace(ALL, jpeg=0.0))
    there = transform(images.cuda(), draws)
    assert torch.equal(there, transform(images.cuda(), draws))
    assert torch.allclose(there.cpu(), transform(images, draws), atol=2e-3)


# Views of pre-training


def test_resized_crops_written_out():
    images = pictures(6, 40)
    draws = sample_draws(0, 0, 0, np.arange(6), DRAWS)
    how = replace(NONE, least_area=0.2, most_area=0.6, aspect=1.5)
    found = pixels(images, how, draws, 40)
    for index, own in enumerate(draws):
        area = 0.2 + 0.4 * own[transforms.SHARE]
        aspect = 1.5 ** (2 * own[transforms.SHAPE] - 1)
        wide, tall = (40 * math.sqrt(one) for one in (area * aspect, area / aspect))
        left, top = own[transforms.ACROSS] * (40 - wide), own[transforms.DOWN] * (40 - tall)
        wanted = np.array([
            [bilinear(images[index, 1].double().numpy(), left + (x + 0.5) * wide / 40,
                      top + (y + 0.5) * tall / 40) for x in range(40)]
            for y in range(40)
        ])  # fmt: skip
        np.testing.assert_allclose(found[index, 1], wanted, atol=0.05)


def test_a_resized_crop_longer_than_the_image_is_cut_to_it():
    draws = np.full((3, DRAWS), 0.5)
    draws[:, transforms.SHARE] = 0.9999
    draws[:, transforms.SHAPE] = [0.0, 0.5, 0.9999]
    maps = transforms.resized_crops(draws, replace(NONE, least_area=0.9, aspect=4.0), (20, 30))
    assert (maps[:, 0, 0] <= 1).all()
    assert (maps[:, 1, 1] <= 1).all()
    assert maps[0, 0, 0] == pytest.approx(0.5, abs=1e-3)  # tall: half the width, all of the height
    assert maps[0, 1, 1] == 1
    ends = maps @ np.array([[30.0], [20.0], [1.0]])
    assert (ends[:, 0] <= 30 + 1e-9).all()
    assert (ends[:, 1] <= 20 + 1e-9).all()


def test_a_turn_of_the_hue_keeps_grey_and_luma():
    turned = transforms.hue_turns(np.array([0.0, 0.1, -0.3, 0.5]))
    np.testing.assert_allclose(turned[0], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(turned.sum(axis=2), 1, atol=2e-3)  # grey stays grey
    luma = np.array(transforms.GREY)
    np.testing.assert_allclose(luma @ turned, np.tile(luma, (4, 1)), atol=1e-12)
    np.testing.assert_allclose(turned[3] @ turned[3], np.eye(3), atol=1e-9)  # half and half
    images = pictures(4)
    draws = draws_of(4, COLOUR=0.0)
    draws[:, transforms.HUE] = [0.5, 0.6, 0.2, 1.0 - 1e-12]
    how = replace(NONE, colour=1.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.5)
    found = pixels(images, how, draws)
    for index, matrix in enumerate(turned):
        wanted = np.einsum("ij,jyx->iyx", matrix, images[index].double().numpy()).clip(0, 255)
        np.testing.assert_allclose(found[index], wanted, atol=1e-3)


def test_solarised():
    images = pictures(3)
    draws = draws_of(3)
    draws[1, transforms.SOLARISE] = 0.1
    found = pixels(images, replace(NONE, solarise=0.2), draws)
    wanted = images.clone()
    wanted[1] = v2.solarize(images[1], 128)
    assert torch.equal(found, wanted.float())


def test_a_smaller_view_in_a_frame_of_its_own():
    """It shows what the whole view shows, at half the size."""
    images = torch.nn.functional.interpolate(pictures(2, 8).float(), (48, 48), mode="bilinear")
    images = images.to(torch.uint8)
    for frame in (None, ((0.9, 0.1, 2.0), (-0.1, 0.9, 3.0))):
        transform = Transform((40, 40), (0,) * 3, (1,) * 3, frame=frame)
        small = transform.of_view(View(side=0.5))
        assert small.size == (20, 20)
        whole = torch.nn.functional.avg_pool2d(transform(images), 2)
        assert (small(images) - whole).abs().max() < 6
    changed = transform.of_view(View(changes={"blur": 0.3}))
    assert changed.augmentation.blur == 0.3
    assert changed.size == (40, 40)
    assert transform.of_view(View()) is transform
