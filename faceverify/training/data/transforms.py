"""Crops as they are stored -> what the network sees: varied, in its frame, normalised.

Every step is a batched tensor operation on whichever device the images are on, and touches only the
images that it was drawn for. An image's result depends on its own draws alone, bit for bit: not on
the batch around it.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from faceverify.training.config.augmentation import NONE, Augmentation

Draws = NDArray[np.float64]
GREY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601, as JPEG has it
IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
# which column of the draws decides what; new ones go to the end, so that old runs stay the same
(FLIP, CROP, ZOOM, SHIFT_X, SHIFT_Y, TURN, COLOUR, BRIGHTNESS, CONTRAST, SATURATION, GREYED,
 LOW_RESOLUTION, RESOLUTION, BLUR, RADIUS, JPEG, QUALITY, OCCLUSION, AREA, ASPECT, LEFT, TOP,
 RED, GREEN, BLUE) = range(25)  # fmt: skip
DRAWS = 25  # numbers that an image needs
PART = 16  # images worked on at a time by a CPU: more would leave its cache between two steps


@dataclass(frozen=True)
class Transform:
    """From stored crops to the network's input.

    Args:
        size: of the network's input, (height, width).
        mean, scale: a pixel p of 0 to 255 becomes (p - mean) / scale, by channel of the output.
        colour_order: "RGB" or "BGR", of the output.
        augmentation: how images are varied; None for not at all.
        frame: where a point (x, y, 1) of the output lies in the crop, 2 x 3, in pixels from the
            edge; None stretches the crop over the output.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    scale: tuple[float, float, float] = (127.5, 127.5, 127.5)
    colour_order: str = "RGB"
    augmentation: Augmentation = field(default=NONE)
    frame: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None

    def __call__(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        """Transform crops.

        Args:
            images: RGB, uint8, (N, 3, H, W), of any memory layout; not changed.
            draws: ``DRAWS`` numbers in [0, 1) for each image, (N, DRAWS); None to vary nothing.

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
        compress(result, draws, how)
        occlude(result, draws, how)
        if self.colour_order == "BGR":
            result.copy_(result.flip(1))
        mean, scale = (result.new_tensor(v)[:, None, None] for v in (self.mean, self.scale))
        if len(set(self.mean)) == len(set(self.scale)) == 1:  # numbers, not rows: faster
            mean, scale = mean[0, 0, 0], scale[0, 0, 0]
        result.sub_(mean).div_(scale)

    def _place(self, result: Tensor, images: Tensor, draws: Draws, how: Augmentation) -> None:
        """Fill the result: warp the images that are cropped, or all where the frame is another."""
        cropped = chosen(draws, CROP, how.crop)
        moves = placements(draws[cropped], how, self.size)
        stored = (int(images.shape[-2]), int(images.shape[-1]))
        if self.frame is None and stored == self.size:
            result.copy_(images)
            if len(cropped):
                result[cropped] = warped(images[cropped].float(), moves, self.size)
            return
        frame = np.array(self.frame or stretch(stored, self.size))  # (2, 3)
        whole = np.tile(np.eye(3), (len(images), 1, 1))
        whole[cropped, :2] = moves
        result.copy_(warped(images.float(), frame @ whole, self.size))


def chosen(draws: Draws, column: int, chance: float) -> NDArray[np.int64]:
    """Positions of the images that something was drawn for, at a chance."""
    return np.flatnonzero(draws[:, column] < chance)


def between(draws: Draws, column: int, low: float, high: float) -> NDArray[np.float64]:
    """Spread a column of draws evenly over a range, (N,)."""
    return low + (high - low) * draws[:, column]


def flipped(images: Tensor, which: NDArray[np.int64]) -> Tensor:
    """Mirror some of the images, left to right."""
    if not len(which):
        return images
    mirrored = images.clone()
    mirrored[which] = images[which].flip(-1)
    return mirrored


# Where: one resampling


def placements(draws: Draws, how: Augmentation, size: tuple[int, int]) -> NDArray[np.float64]:
    """Zoom, shift and turn of each image about its middle, from output to input, (N, 2, 3)."""
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


def stretch(
    source: tuple[int, int], target: tuple[int, int]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Where a point of an output of one (height, width) lies in an input of another, 2 x 3."""
    return (source[1] / target[1], 0.0, 0.0), (0.0, source[0] / target[0], 0.0)


def warped(images: Tensor, moves: NDArray[np.float64], size: tuple[int, int]) -> Tensor:
    """Sample images bilinearly at moved places; beyond an edge they go on mirrored.

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


# How sharp


def degrade(planes: Tensor, draws: Draws, how: Augmentation) -> None:
    """Lose resolution and sharpness, in place."""
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
    """Convolve each image with a Gaussian of its own, one axis after the other.

    Args:
        images: float32, (N, 3, H, W).
        sigma: standard deviations in pixels, (N,).
        most: the largest that sigma can be: how far the kernel reaches.
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


# Which colours


def recolour(planes: Tensor, draws: Draws, how: Augmentation) -> None:
    """Change brightness, contrast and saturation of some, take the colour of some; in place.

    All of it is linear in the colours, so that it is one matrix a image: with brightness b,
    contrast c about the image's mean grey m, saturation s and the grey of a colour g(x),
    x -> c b (s x + (1 - s) g(x)) + (1 - c) b m.
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
    changed = torch.baddbmm((1 - c) * b * mean, matrix, colours)
    planes[which] = changed.clamp_(0, 255).view(-1, *planes.shape[1:])


def compress(planes: Tensor, draws: Draws, how: Augmentation) -> None:
    """Pass some through a JPEG of low quality, in place; by the CPU, wherever they are."""
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
    """Cover a rectangle of some with a colour, in place."""
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
