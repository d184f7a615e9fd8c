"""Augmentation and preprocessing: stored crops to the network's input.

Each operation is batched, on the device of the images, and applied to a random subset of them. The
result of an image depends, bit for bit, on its random numbers alone, not on the batch.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from faceverify.training.config.augmentation import NONE, Augmentation
from faceverify.training.config.data import SALIENCY
from faceverify.training.data.saliency import GREY, drawn_places, saliency
from faceverify.training.data.views import View

Draws = NDArray[np.float64]
Centres = tuple[NDArray[np.float64], NDArray[np.float64]]
IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
# meaning of each column of the random numbers; new ones at the end, so that old runs stay the same
(FLIP, CROP, ZOOM, SHIFT_X, SHIFT_Y, TURN, COLOUR, BRIGHTNESS, CONTRAST, SATURATION, GREYED,
 LOW_RESOLUTION, RESOLUTION, BLUR, RADIUS, JPEG, QUALITY, OCCLUSION, AREA, ASPECT, LEFT, TOP,
 RED, GREEN, BLUE, SHARE, SHAPE, ACROSS, DOWN, HUE, SOLARISE) = range(31)  # fmt: skip
DRAWS = 31  # random numbers of an image
YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
PART = 16  # images at a time on a CPU, so that they stay in its cache between operations


@dataclass(frozen=True)
class Transform:
    """From stored crops to the network's input.

    Args:
        size: of the network's input, (height, width).
        mean, scale: a pixel p of 0 to 255 becomes (p - mean) / scale, by channel of the output.
        colour_order: "RGB" or "BGR", of the output.
        augmentation: probabilities and strengths.
        frame: affine map from a point (x, y, 1) of the output to the crop, 2 x 3, in pixels from
            the edge; None resizes the crop to the output.
        crops: where random resized crops are: "uniform", anywhere; "saliency", with their centre
            where the image is salient.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    scale: tuple[float, float, float] = (127.5, 127.5, 127.5)
    colour_order: str = "RGB"
    augmentation: Augmentation = field(default=NONE)
    frame: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    crops: str = "uniform"

    def of_view(self, view: View) -> Transform:
        """The transform of a view that is smaller, or augmented in another way."""
        if view == View():
            return self
        height, width = (max(1, round(view.side * side)) for side in self.size)
        frame = self.frame
        if frame is not None:
            scaled = np.array(frame) * [self.size[1] / width, self.size[0] / height, 1]
            frame = (tuple(scaled[0].tolist()), tuple(scaled[1].tolist()))
        changes: dict[str, Any] = dict(view.changes)
        augmentation = replace(self.augmentation, **changes)
        return replace(self, size=(height, width), augmentation=augmentation, frame=frame)

    def __call__(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        """Transform crops.

        Args:
            images: RGB, uint8, (N, 3, H, W), in any memory layout; not changed.
            draws: random numbers in [0, 1), (N, DRAWS); None for no augmentation.

        Returns:
            float32, (N, 3, height, width), in channels-last memory, on the device of the images.
        """
        result = torch.empty(
            (len(images), 3, *self.size),
            dtype=torch.float32,
            device=images.device,
            memory_format=torch.channels_last,
        )
        part = PART if images.device.type == "cpu" else max(1, len(images))
        for start in range(0, len(images), part):
            some = slice(start, start + part)
            own = None if draws is None else draws[some]
            self._into(result[some], images[some], own)
        return result

    def _into(self, result: Tensor, images: Tensor, draws: Draws | None) -> None:
        how = self.augmentation
        if draws is None:
            how, draws = NONE, np.ones((len(images), DRAWS))
        self._place(result, flipped(images, chosen(draws, FLIP, how.flip)), draws, how)
        degrade(result, draws, how)
        recolour(result, draws, how)
        solarise(result, draws, how)
        compress(result, draws, how)
        occlude(result, draws, how)
        if self.colour_order == "BGR":
            result.copy_(result.flip(1))
        mean, scale = (result.new_tensor(v)[:, None, None] for v in (self.mean, self.scale))
        if len(set(self.mean)) == len(set(self.scale)) == 1:  # scalars are faster
            mean, scale = mean[0, 0, 0], scale[0, 0, 0]
        result.sub_(mean).div_(scale)

    def _place(self, result: Tensor, images: Tensor, draws: Draws, how: Augmentation) -> None:
        """Fill the result: warp the randomly cropped images, or all where the alignment differs."""
        cropped = chosen(draws, CROP, how.crop)
        resized = how.least_area < 1
        moves = placements(draws[cropped], how, self.size)
        stored = (int(images.shape[-2]), int(images.shape[-1]))
        if self.frame is None and stored == self.size and not resized:
            result.copy_(images)
            if len(cropped):
                result[cropped] = warped(images[cropped].float(), moves, self.size)
            return
        frame = np.array(self.frame or stretch(stored, self.size))  # (2, 3)
        whole = np.tile(np.eye(3), (len(images), 1, 1))
        whole[cropped, :2] = moves
        if resized:
            whole = resized_crops(draws, how, self.size, self._centres(images, draws)) @ whole
        result.copy_(warped(images.float(), frame @ whole, self.size))

    def _centres(self, images: Tensor, draws: Draws) -> Centres | None:
        """Centres of the crops where images are salient; None where they are anywhere."""
        if self.crops != SALIENCY:
            return None
        if self.frame is not None:  # the crop is of what the backbone sees
            frames = np.tile(np.array(self.frame), (len(images), 1, 1))
            images = warped(images.float(), frames, self.size)
        return drawn_places(saliency(images), draws[:, DOWN], draws[:, ACROSS])


def chosen(draws: Draws, column: int, chance: float) -> NDArray[np.int64]:
    """Indices of the images that an operation of probability ``chance`` applies to."""
    return np.flatnonzero(draws[:, column] < chance)


def between(draws: Draws, column: int, low: float, high: float) -> NDArray[np.float64]:
    """Map a column of random numbers to [low, high), (N,)."""
    return low + (high - low) * draws[:, column]


def flipped(images: Tensor, which: NDArray[np.int64]) -> Tensor:
    """Mirror some of the images, left to right."""
    if not len(which):
        return images
    mirrored = images.clone()
    mirrored[which] = images[which].flip(-1)
    return mirrored


# Geometry, by one resampling


def placements(draws: Draws, how: Augmentation, size: tuple[int, int]) -> NDArray[np.float64]:
    """Affine maps of random zoom, shift and rotation, from output to input, (N, 2, 3)."""
    height, width = size
    zoom = np.exp(between(draws, ZOOM, -1, 1) * math.log1p(how.zoom))
    angle = np.radians(between(draws, TURN, -how.turn, how.turn))
    cosine, sine = zoom * np.cos(angle), zoom * np.sin(angle)
    middle_x, middle_y = width / 2, height / 2
    shift_x = between(draws, SHIFT_X, -how.shift, how.shift) * width
    shift_y = between(draws, SHIFT_Y, -how.shift, how.shift) * height
    rows = np.empty((len(draws), 2, 3))
    rows[:, 0] = np.stack(
        [cosine, -sine, middle_x + shift_x - cosine * middle_x + sine * middle_y], axis=1
    )
    rows[:, 1] = np.stack(
        [sine, cosine, middle_y + shift_y - sine * middle_x - cosine * middle_y], axis=1
    )
    return rows


def resized_crops(
    draws: Draws, how: Augmentation, size: tuple[int, int], centres: Centres | None = None
) -> NDArray[np.float64]:
    """Affine maps of random resized crops, from output to input, (N, 3, 3).

    Szegedy et al. 2015, https://arxiv.org/abs/1409.4842, section 6; a side that would be longer
    than the image's is cut to it.

    Args:
        draws: random numbers, (N, DRAWS).
        how: shares of the area, and ratios of the sides.
        size: of the image, (height, width).
        centres: of the crops, shares of height and width, (N,) each; a crop that would pass the
            edge is moved back to it. None: drawn so that every place of a crop is as probable.
    """
    height, width = size
    area = between(draws, SHARE, min(how.least_area, how.most_area), how.most_area)
    shape = np.exp(between(draws, SHAPE, -1, 1) * math.log(how.aspect))
    wide, tall = np.minimum(np.sqrt(area * shape), 1), np.minimum(np.sqrt(area / shape), 1)
    top, left = draws[:, DOWN] * (1 - tall), draws[:, ACROSS] * (1 - wide)
    if centres is not None:
        down, across = centres
        top, left = np.clip(down - tall / 2, 0, 1 - tall), np.clip(across - wide / 2, 0, 1 - wide)
    maps = np.zeros((len(draws), 3, 3))
    maps[:, 0, 0], maps[:, 0, 2] = wide, left * width
    maps[:, 1, 1], maps[:, 1, 2] = tall, top * height
    maps[:, 2, 2] = 1
    return maps


def stretch(
    source: tuple[int, int], target: tuple[int, int]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Affine map of a resize, from output to input, 2 x 3; sizes are (height, width)."""
    return (source[1] / target[1], 0.0, 0.0), (0.0, source[0] / target[0], 0.0)


def warped(images: Tensor, moves: NDArray[np.float64], size: tuple[int, int]) -> Tensor:
    """Warp images by affine maps: bilinear sampling, reflection at the edges.

    Args:
        images: float32, (N, 3, H, W).
        moves: from a point (x, y, 1) of the output to one of the image, in pixels from the edge,
            (N, 2, 3).
        size: of the output, (height, width).
    """
    height, width = size
    sides = np.array([images.shape[-1], images.shape[-2]])[:, None]
    scaled = 2 * moves / sides  # to the sampler's coordinates: -1 and 1 are the edges
    scaled[:, :, 2] -= 1
    x_of, y_of, one = (images.new_tensor(scaled[:, :, column]) for column in range(3))  # (N, 2)
    across = torch.arange(width, device=images.device, dtype=torch.float32) + 0.5
    down = torch.arange(height, device=images.device, dtype=torch.float32) + 0.5
    grid = images.new_empty(len(images), height, width, 2)
    for axis in (0, 1):
        row = x_of[:, axis, None] * across  # (N, width)
        column = y_of[:, axis, None] * down + one[:, axis, None]  # (N, height)
        torch.add(row[:, None, :], column[:, :, None], out=grid[..., axis])
    sampled: Tensor = F.grid_sample(
        images, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return sampled


# Sharpness


def degrade(planes: Tensor, draws: Draws, how: Augmentation) -> None:
    """Lower the resolution of some and blur some, in place."""
    few = chosen(draws, LOW_RESOLUTION, how.low_resolution)
    height, width = planes.shape[-2:]
    shares = between(draws, RESOLUTION, how.resolution, 1.0)
    for index in few:
        least = tuple(max(1, round(side * shares[index])) for side in (height, width))
        small = F.interpolate(planes[index, None], least, mode="bilinear", antialias=True)
        planes[index] = F.interpolate(small, (height, width), mode="bilinear", align_corners=False)[
            0
        ]
    soft = chosen(draws, BLUR, how.blur)
    if len(soft):
        sigma = between(draws[soft], RADIUS, 0.0, how.radius) * width
        planes[soft] = blurred(planes[soft], np.maximum(sigma, 0.1), how.radius * width)


def blurred(images: Tensor, sigma: NDArray[np.float64], most: float) -> Tensor:
    """Gaussian blur with a sigma for each image, by separable convolution.

    Args:
        images: float32, (N, 3, H, W).
        sigma: standard deviations in pixels, (N,).
        most: largest possible sigma, which sets the size of the kernel.
    """
    height, width = images.shape[-2:]
    reach = min(math.ceil(3 * most), height - 1, width - 1)
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-((steps / sigma[:, None]) ** 2) / 2)  # (N, 2 reach + 1)
    weights = images.new_tensor(kernel / kernel.sum(axis=1, keepdims=True))[:, :, None, None, None]
    padded = F.pad(images, (reach, reach, reach, reach), mode="reflect")
    rows = padded[..., :width] * weights[:, 0]
    for k in range(1, len(steps)):
        rows.addcmul_(padded[..., k : k + width], weights[:, k])
    both = rows[..., :height, :] * weights[:, 0]
    for k in range(1, len(steps)):
        both.addcmul_(rows[..., k : k + height, :], weights[:, k])
    return both


# Colour


def recolour(planes: Tensor, draws: Draws, how: Augmentation) -> None:
    """Change brightness, contrast and saturation of some, make some grey, in place.

    All of it is linear in the colours, so it is one matrix for each image: with brightness b,
    contrast c about the image's mean grey m, saturation s and the grey of a colour g(x),
    x -> c b (s x + (1 - s) g(x)) + (1 - c) b m.
    A turn of the hue is a rotation of the two colour axes of YIQ, which leaves greys as they are.
    """
    varied = draws[:, COLOUR] < how.colour
    greyed = draws[:, GREYED] < how.grey
    which = np.flatnonzero(varied | greyed)
    if not len(which):
        return
    on, own = varied[which], draws[which]
    amount = [
        np.where(on, between(own, column, 1 - most, 1 + most), 1.0)
        for column, most in (
            (BRIGHTNESS, how.brightness), (CONTRAST, how.contrast), (SATURATION, how.saturation),
        )
    ]  # fmt: skip
    amount[2] = np.where(greyed[which], 0.0, amount[2])
    b, c, s = (planes.new_tensor(values)[:, None, None] for values in amount)  # (n, 1, 1)
    grey = planes.new_tensor(GREY)
    colours = planes[which].flatten(2)  # (n, 3, H W)
    mean = (colours.mean(dim=2) * grey).sum(dim=1)[:, None, None]
    matrix = c * b * (s * torch.eye(3, device=planes.device) + (1 - s) * grey.expand(3, 3))
    if how.hue:
        turns = np.where(on, between(own, HUE, -how.hue, how.hue), 0.0)
        matrix = planes.new_tensor(hue_turns(turns)) @ matrix
    changed = torch.baddbmm((1 - c) * b * mean, matrix, colours)
    planes[which] = changed.clamp_(0, 255).view(-1, *planes.shape[1:])


def hue_turns(turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrices that turn the hue of RGB colours by shares of the circle, (N, 3, 3)."""
    yiq = np.array(YIQ)
    turned = np.zeros((len(turns), 3, 3))
    cosine, sine = np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)
    turned[:, 0, 0] = 1
    turned[:, 1, 1] = turned[:, 2, 2] = cosine
    turned[:, 1, 2], turned[:, 2, 1] = -sine, sine
    matrices: NDArray[np.float64] = np.linalg.inv(yiq) @ turned @ yiq
    return matrices


def solarise(planes: Tensor, draws: Draws, how: Augmentation) -> None:
    """Invert the bright pixels of some, in place."""
    which = chosen(draws, SOLARISE, how.solarise)
    if len(which):
        some = planes[which]
        planes[which] = torch.where(some < 128, some, 255 - some)


def compress(planes: Tensor, draws: Draws, how: Augmentation) -> None:
    """JPEG compression of some at low quality, in place; on the CPU for any device."""
    which = chosen(draws, JPEG, how.jpeg)
    if not len(which):
        return
    qualities = np.floor(between(draws[which], QUALITY, how.quality, 76)).astype(int)
    pixels = planes[which].round().clamp(0, 255).to("cpu", torch.uint8).permute(0, 2, 3, 1)
    worse = torch.empty(pixels.shape, dtype=torch.uint8)
    for index, (crop, quality) in enumerate(zip(pixels.numpy(), qualities, strict=True)):
        stream = io.BytesIO()
        Image.fromarray(crop).save(stream, "JPEG", quality=int(quality))
        with Image.open(stream) as image:
            worse[index] = torch.from_numpy(np.array(image))
    planes[which] = worse.permute(0, 3, 1, 2).to(planes.device, torch.float32)


def occlude(planes: Tensor, draws: Draws, how: Augmentation) -> None:
    """Random erasing: cover a rectangle of some with one colour, in place."""
    height, width = planes.shape[-2:]
    for index in chosen(draws, OCCLUSION, how.occlusion):
        own = draws[index, None]
        area = float(between(own, AREA, 0.02 * how.area, how.area)[0])
        aspect = math.exp(between(own, ASPECT, -math.log(2), math.log(2))[0])
        tall = max(1, min(height, round(height * math.sqrt(area * aspect))))
        wide = max(1, min(width, round(width * math.sqrt(area / aspect))))
        top = int(own[0, TOP] * (height - tall + 1))
        left = int(own[0, LEFT] * (width - wide + 1))
        colour = planes.new_tensor(own[0, [RED, GREEN, BLUE]] * 255)[:, None, None]
        planes[index, :, top : top + tall, left : left + wide] = colour
