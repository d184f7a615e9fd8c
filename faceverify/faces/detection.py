"""Faces and their five points: the MTCNN cascade (https://arxiv.org/abs/1604.02878).

Three nets, each a finer judge of fewer boxes: P-Net scores every 12-pixel window of an image
pyramid, R-Net looks at the survivors in 24 x 24, O-Net in 48 x 48 and places five points.

Coordinates are pixels from the image's top left corner. A box holds its edges (left, top, right,
bottom). Of a box that reaches beyond the image, the nets see the part within, stretched.

The cascade is chaotic: what moves a first box by a pixel may move the last one by three. So all
that decides about boxes follows the reference implementation (facenet-pytorch) to the letter, and
the points agree with its points to a thousandth of a pixel: pixels are averaged over whole source
pixels, a crop starts at the whole pixel left of its box, and some sides count one pixel short.
Points come out half a pixel right and below of where they are; alignment templates are fitted to
that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from faceverify.choices import MIN_FACE
from faceverify.errors import ModelError
from faceverify.faces.area_means import AreaMeans
from faceverify.faces.nms import suppress
from faceverify.runtime.onnx_session import open_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Floats = NDArray[np.float32]

NET_NAMES = ("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet")
SCORES = (0.6, 0.7, 0.7)  # least score after each net, as in the paper's code
FACTOR = 0.709  # from one pyramid level to the next: half the area
CELL, STRIDE = 12, 2  # P-Net's window and step, in pixels of a level
BATCH_PIXELS = 18432  # shown to a net at once, so that its work stays in the processor cache
PADDING = 0.5  # of the image's longer side, on each side, when close-ups are looked for


@dataclass(frozen=True)
class Face:
    """A face found in a photo.

    Attributes:
        box: left, top, right, bottom, in pixels; may reach beyond the photo.
        score: O-Net's confidence, in [0, 1].
        points: left eye, right eye, nose, left and right mouth corner as seen in the image,
            (5, 2) x and y in pixels.
    """

    box: tuple[float, float, float, float]
    score: float
    points: Floats

    @property
    def size(self) -> float:
        """The longer side of the box, in pixels."""
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)

    @property
    def middle(self) -> tuple[float, float]:
        """The middle of the box, in pixels."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    def sticks_out(self, size: tuple[int, int]) -> bool:
        """Whether the box reaches well beyond two sides or more of a photo of (width, height)."""
        left, top, right, bottom = self.box
        beyond = np.array([-left, -top, right - size[0], bottom - size[1]])
        return int(np.sum(beyond > 0.05 * self.size)) >= 2

    def moved(self, dx: float, dy: float, scale: float = 1.0) -> Face:
        """The same face in an image that is shifted by (dx, dy), then scaled."""
        left, top, right, bottom = self.box
        box = ((left + dx) * scale, (top + dy) * scale, (right + dx) * scale, (bottom + dy) * scale)
        points = (self.points + np.array([dx, dy], np.float32)) * np.float32(scale)
        return Face(box, self.score, points)


class Detector:
    """The three nets, ready to run; safe to use from several threads.

    Args:
        folder: where the three ``mtcnn-*.onnx`` files lie.

    Raises:
        ModelError: a file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        try:
            nets = [open_session((folder / f"{name}.onnx").read_bytes()) for name in NET_NAMES]
        except Exception as error:  # the engine's errors have no common base of their own
            raise ModelError(f"{folder}: the face detector cannot be loaded: {error}") from error
        self._pnet, self._rnet, self._onet = nets

    def detect(
        self,
        image: Image.Image,
        *,
        min_face: float = MIN_FACE,
        found: Callable[[list[Face], float], bool] | None = None,
    ) -> list[Face]:
        """Find faces, the largest first.

        Args:
            image: RGB, upright.
            min_face: side of the smallest face looked for, in pixels.
            found: asked after each octave, from large faces to small ones, with what was found so
                far and the size that no face still unseen exceeds: whether that is enough. Without
                it, all faces are looked for at once.
        """
        faces = self._search(image, min_face, found)
        if all(face.sticks_out(image.size) for face in faces):
            # a face that fills the frame is seen well once it has something around it
            border = round(max(image.size) * PADDING)
            padded = ImageOps.expand(image, border, fill=(128, 128, 128))
            close_up = max(min_face, min(image.size) / 3)
            seen = self._search(padded, close_up, found)
            faces = [face.moved(-border, -border) for face in seen] or faces
        return faces

    def _search(
        self,
        image: Image.Image,
        min_face: float,
        found: Callable[[list[Face], float], bool] | None,
    ) -> list[Face]:
        sizes = face_sizes(min(image.size), min_face)
        step = 2 if found else max(1, len(sizes))  # two levels are an octave
        pixels = AreaMeans(image)
        faces: list[Face] = []
        for start in range(0, len(sizes), step):
            boxes = self._propose(pixels, sizes[start : start + step])
            boxes = self._refine(pixels, boxes)
            faces = merge(faces + self._locate(pixels, boxes))
            unseen = sizes[start + step] / FACTOR if start + step < len(sizes) else 0.0
            if found and faces and found(faces, unseen):
                break
        return sorted(faces, key=lambda face: face.size, reverse=True)

    def _propose(self, pixels: AreaMeans, sizes: Sequence[float]) -> Floats:
        """P-Net over the pyramid levels of these face sizes: square boxes, (N, 4)."""
        found = [np.zeros((0, 9), np.float32)]
        for size in sizes:
            scale = CELL / size
            level = pixels.resized(int(pixels.width * scale) + 1, int(pixels.height * scale) + 1)
            scores, offsets = self._pnet.run(None, {"photos": level[None]})
            rows, columns = np.nonzero(scores[0, 0] >= SCORES[0])
            corners = np.stack([columns, rows], axis=1) * STRIDE  # (N, 2)
            first = np.floor((corners + 1) / scale) - 1
            last = np.floor((corners + CELL) / scale)
            score, offset = scores[0, 0, rows, columns, None], offsets[0][:, rows, columns].T
            cells = np.hstack([first, last, score, offset]).astype(np.float32)
            found.append(cells[suppress(cells[:, :4], cells[:, 4], 0.5, short=1)])
        cells = np.vstack(found)
        cells = cells[suppress(cells[:, :4], cells[:, 4], 0.7, short=1)]
        return square(shifted(cells[:, :4], cells[:, 5:], short=1))

    def _refine(self, pixels: AreaMeans, boxes: Floats) -> Floats:
        """R-Net: the boxes it keeps, moved and squared, (N, 4)."""
        scores, offsets = self._judge(self._rnet, pixels, boxes, 24)
        keep = np.flatnonzero(scores[:, 0] > SCORES[1])
        keep = keep[suppress(boxes[keep], scores[keep, 0], 0.7, short=1)]
        return square(shifted(boxes[keep], offsets[keep]))

    def _locate(self, pixels: AreaMeans, boxes: Floats) -> list[Face]:
        """O-Net: the faces among the boxes, with their points."""
        scores, offsets, points = self._judge(self._onet, pixels, boxes, 48)
        keep = np.flatnonzero(scores[:, 0] > SCORES[2])
        sides = boxes[keep, 2:] - boxes[keep, :2]  # (N, 2)
        xy = points[keep].reshape(-1, 2, 5).transpose(0, 2, 1)  # (N, 5, 2)
        xy = boxes[keep, None, :2] + xy * sides[:, None]
        moved = shifted(boxes[keep], offsets[keep])
        return [
            Face(tuple(box.tolist()), float(score), point)
            for box, score, point in zip(moved, scores[keep, 0], xy, strict=True)
        ]

    def _judge(
        self, net: InferenceSession, pixels: AreaMeans, boxes: Floats, side: int
    ) -> list[Floats]:
        """Show a net the boxes' insides: its outputs, a row for each box."""
        batch = BATCH_PIXELS // side**2
        batches = [
            net.run(None, {"photos": pixels.crops(boxes[start : start + batch], side)})
            for start in range(0, max(1, len(boxes)), batch)
        ]
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def face_sizes(short_side: float, min_face: float) -> list[float]:
    """Face sizes that the pyramid's levels look for, in pixels of the image, largest first."""
    levels = math.floor(math.log(max(short_side, 1) / min_face, 1 / FACTOR)) + 1
    return [min_face / FACTOR**level for level in reversed(range(max(0, levels)))]


def shifted(boxes: Floats, offsets: Floats, *, short: float = 0) -> Floats:
    """Boxes moved by a net's offsets: shares of their sides, which count ``short`` pixels less."""
    sides = boxes[:, 2:] - boxes[:, :2] - np.float32(short)
    moved: Floats = boxes + offsets * np.hstack([sides, sides])
    return moved


def square(boxes: Floats) -> Floats:
    """Squares around the same centres, as large as the boxes' longer sides."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.hstack([centres - half, centres + half])


def merge(faces: list[Face]) -> list[Face]:
    """One face for each group of boxes that lie within each other."""
    if len(faces) < 2:
        return faces
    boxes = np.array([face.box for face in faces], np.float32)
    scores = np.array([face.score for face in faces], np.float32)
    return [faces[index] for index in suppress(boxes, scores, 0.7, of_smaller=True)]
