"""Face alignment: where a face lies in its crop, by reference points or by its box."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from faceverify.errors import UsageError
from faceverify.faces.detection import TURNS, Face
from faceverify.faces.similarity import SHRINK, similarity, warp


@dataclass(frozen=True)
class FivePoints:
    """Alignment by the similarity transform that carries a face's five points onto these.

    Attributes:
        points: left eye, right eye, nose, left and right mouth corner as seen in the crop; x and y
            in pixels from the crop's top left corner, as the points of a face in its photo.
        weights: how much each point counts in the fit.
    """

    points: tuple[tuple[float, float], ...]
    weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0)

    def crop(self, image: Image.Image, face: Face, size: tuple[int, int]) -> Image.Image:
        """The aligned face of a photo, (width, height) = size."""
        return warp(image, similarity(face.points, self.points, self.weights), size)

    def moved(self, zoom: float, shift: tuple[float, float], size: tuple[int, int]) -> FivePoints:
        """The alignment with faces enlarged by ``zoom`` about the crop's middle, then shifted."""
        middle = np.array(size) / 2
        points = (np.array(self.points) - middle) * zoom + middle + shift
        return FivePoints(
            tuple((round(x, 4), round(y, 4)) for x, y in points.tolist()), self.weights
        )

    def variants(self, count: int, size: tuple[int, int]) -> list[FivePoints]:
        """This alignment and slightly zoomed and shifted ones, ``count`` in all."""
        return [self.moved(zoom, shift, size) for zoom, shift in jitters(count, size)]

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        points = [list(point) for point in self.points]
        return {"kind": "five-points", "points": points, "weights": list(self.weights)}


@dataclass(frozen=True)
class BoxCrop:
    """Alignment by the detector's box, widened and stretched, without rotation, as facenet has it.

    Attributes:
        margin: share of the crop's side that lies outside the box, both sides together.
    """

    margin: float = 0.0

    def crop(self, image: Image.Image, face: Face, size: tuple[int, int]) -> Image.Image:
        """The face's box out of a photo, (width, height) = size."""
        left, top, right, bottom = face.box
        extra_x, extra_y = (
            (side * self.margin / (1 - self.margin) / 2) for side in (right - left, bottom - top)
        )
        box = (
            max(left - extra_x, 0),
            max(top - extra_y, 0),
            min(right + extra_x, image.width),
            min(bottom + extra_y, image.height),
        )
        crop = image.resize(size, SHRINK, box=box)
        return crop.transpose(TURNS[face.turned]) if face.turned else crop

    def variants(self, count: int, size: tuple[int, int]) -> list[BoxCrop]:
        """This crop and slightly wider ones, ``count`` in all."""
        return [BoxCrop(self.margin + (1 - self.margin) * 0.02 * index) for index in range(count)]

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {"kind": "box", "margin": self.margin}


Alignment = FivePoints | BoxCrop


@dataclass(frozen=True)
class ReferencePoints:
    """Reference points of a common alignment: where the five points lie in its crops.

    Attributes:
        points: as in :class:`FivePoints`, in a crop of width and height ``side``.
        side: in pixels.
    """

    points: tuple[tuple[float, float], ...]
    side: int

    def face(self, size: tuple[int, int]) -> Face:
        """The face that fills a crop of this alignment, stretched to (width, height) = size."""
        stretch = np.array(size) / self.side
        points = (np.array(self.points) * stretch).astype(np.float32)
        return Face((0.0, 0.0, float(size[0]), float(size[1])), 1.0, points)


REFERENCE_POINTS = {
    "arcface-112": ReferencePoints(
        (
            (38.2946, 51.6963),
            (73.5318, 51.5014),
            (56.0252, 71.7366),
            (41.5493, 92.3655),
            (70.7299, 92.2041),
        ),
        112,
    ),
    "dlib-150": ReferencePoints(
        ((49.01, 47.10), (102.90, 47.23), (76.01, 79.17), (52.16, 105.66), (99.39, 105.95)), 150
    ),
}


FACENET_160 = BoxCrop(14 / 160)  # 14 of 160 pixels: facenet-pytorch's own evaluation on LFW
ALIGNMENT_NAMES = (*REFERENCE_POINTS, "facenet-160")


def reference_points(name: str, known: Iterable[str] = REFERENCE_POINTS) -> ReferencePoints:
    """Reference points of an alignment that has them, by its name.

    Args:
        known: the names that the message lists.

    Raises:
        UsageError: an unknown name.
    """
    if name not in REFERENCE_POINTS:
        raise UsageError(f"no alignment {name!r}", cure=f"known: {', '.join(known)}")
    return REFERENCE_POINTS[name]


def named_alignment(name: str, side: int | None = None) -> tuple[Alignment, int]:
    """An alignment by its name, and the side of its crops in pixels.

    Args:
        name: one of ``ALIGNMENT_NAMES``.
        side: another side than the usual one; the crop shows the same part of the face.

    Raises:
        UsageError: an unknown name.
    """
    if name == "facenet-160":
        return FACENET_160, side or 160
    crop = reference_points(name, ALIGNMENT_NAMES)
    side = side or crop.side
    zoom = side / crop.side
    return FivePoints(tuple((x * zoom, y * zoom) for x, y in crop.points)), side


def jitters(count: int, size: tuple[int, int]) -> list[tuple[float, tuple[float, float]]]:
    """Zooms of up to 6 % and shifts of up to 1 % (in pixels), evenly spread; first none."""
    return [
        (
            1 - 0.06 * halton(index, 2),
            (0.01 * size[0] * halton(index, 3), 0.01 * size[1] * halton(index, 5)),
        )
        for index in range(count)
    ]


def halton(index: int, base: int) -> float:
    """Halton's low-discrepancy sequence, shifted to [-1, 1) with 0 at index 0."""
    value, share = 0.0, 1.0
    while index:
        share /= base
        index, digit = divmod(index, base)
        value += digit * share
    return (2 * value + 1) % 2 - 1
