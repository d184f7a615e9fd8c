"""Face detection with five points: YuNet finds faces, MTCNN's O-Net places their points.

The whole photo is shown to YuNet first, at a size at which the faces that most photos are taken for
are found. Where smaller faces are looked for, it is shown larger, too. A border lets a face that
touches an edge be seen whole. Where no face is found with confidence, the photo is shown turned.

The points of a face that has been selected are then placed anew (:meth:`Detector.locate`), with the
face shown upright and always of the same size: a small network places the points of a large face a
little differently from those of a small one.

Coordinates are pixels from the photo's top left corner. A box is (left, top, right, bottom).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceverify.choices import MIN_FACE
from faceverify.faces.nms import suppress
from faceverify.faces.onet import ONet
from faceverify.faces.similarity import SAMPLE, SHRINK
from faceverify.faces.yunet import MULTIPLE, OVERLAP, YuNet

Floats: TypeAlias = "NDArray[np.float32]"

WHOLE = 256  # pixels of the longer side of a photo that is shown whole
BORDER = 32  # pixels of black around what is shown
LEAST_SEEN = 16.0  # pixels of the smallest face that YuNet is sure to see
FINER = 3.0  # from one scale to the next
TILE, SHARED = 1024, 96  # pixels of the pieces of a large photo, and of what two have in common
LEAST_SCORE = 0.6  # of a face, as in the authors' code
CONFIDENT = 1.88  # of 2; the faces of good, upright photos reach more
ADVANTAGE = 0.1  # by which the faces of the turned photo must be surer
MOST_ROLL = 75.0  # degrees from the upright to a face: more contradicts its points

Enough: TypeAlias = "Callable[[list[Face], float], bool]"


@dataclass(frozen=True)
class Face:
    """A detected face.

    Attributes:
        box: left, top, right, bottom, in pixels; may reach beyond the photo.
        score: the detector's confidence, in [0, 1].
        points: left eye, right eye, nose, left and right mouth corner as seen in the upright
            face, (5, 2) x and y in pixels.
        turned: degrees by which the photo is to be turned anticlockwise for the face to be upright:
            0, 90, 180 or 270.
        placed: exact points, where they are known already; of the image in which the face was
            detected, and of no other.
    """

    box: tuple[float, float, float, float]
    score: float
    points: Floats
    turned: int = 0
    placed: Floats | None = None

    @property
    def size(self) -> float:
        """Longer side of the box, in pixels."""
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)

    @property
    def middle(self) -> tuple[float, float]:
        """Centre of the box, (x, y) in pixels."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    @property
    def roll(self) -> float:
        """Degrees by which the face leans clockwise from where its photo is upright."""
        eyes, mouth = self.points[:2].mean(axis=0), self.points[3:].mean(axis=0)
        down = mouth - eyes
        angle = math.degrees(math.atan2(-down[0], down[1])) - self.turned
        return (angle + 180) % 360 - 180

    def moved(self, dx: float, dy: float, scale: float = 1.0) -> Face:
        """The same face in an image that is shifted by (dx, dy), then scaled."""
        left, top, right, bottom = self.box
        box = ((left + dx) * scale, (top + dy) * scale, (right + dx) * scale, (bottom + dy) * scale)
        points = (self.points + np.array([dx, dy], np.float32)) * np.float32(scale)
        return replace(self, box=box, points=points, placed=None)


def detector_files(folder: Path) -> list[Path]:
    """Files of the detector's networks in a folder of weights."""
    return [folder / "yunet.onnx", folder / "mtcnn-onet.onnx"]


class Detector:
    """Face detector; thread-safe.

    Args:
        folder: of the networks' files.

    Raises:
        ModelError: a file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        finds, places = detector_files(folder)
        self._yunet, self._onet = YuNet(finds), ONet(places)

    def detect(
        self,
        image: Image.Image,
        *,
        min_face: float = MIN_FACE,
        enough: Enough | None = None,
    ) -> list[Face]:
        """Faces of a photo, the largest first, with coarse points.

        Args:
            image: RGB, upright as far as is known.
            min_face: side of the smallest face looked for, in pixels.
            enough: whether to stop, called after each scale with the faces so far and the largest
                size that other faces can have. None for all faces.
        """
        faces, best = self._upright(image, min_face, enough)
        if best < CONFIDENT:
            best += ADVANTAGE
            for degrees, turn in TURNS.items():
                seen, confidence = self._upright(image.transpose(turn), min_face, enough)
                if confidence > best:
                    best = confidence
                    faces = [turned_back(face, degrees, image.size) for face in seen]
        return sorted(faces, key=lambda face: face.size, reverse=True)

    def locate(self, image: Image.Image, face: Face) -> Face | None:
        """A detected face with exact points; None where they contradict a face.

        Args:
            image: RGB; the photo, at the scale at which the face has its detail.
            face: in pixels of this image; detected in it, or moved into it.
        """
        points = face.placed
        if points is None:
            points, _ = self._onet.points(image, face.points)
        located = replace(face, points=points)
        return located if abs(located.roll) <= MOST_ROLL else None

    def _upright(
        self, image: Image.Image, min_face: float, enough: Enough | None
    ) -> tuple[list[Face], float]:
        """Upright faces of a photo, and how sure both networks are of the best, 0 to 2."""
        faces: list[Face] = []
        for scale in scales(max(image.size), min_face):
            found = [face for face in self._shown(image, scale) if face.size >= min_face]
            faces = merged(faces + found)
            if enough is not None and faces and enough(faces, LEAST_SEEN / scale):
                break
        if not faces:
            return [], 0.0
        best = max(range(len(faces)), key=lambda index: faces[index].score)
        placed, sureness = self._onet.points(image, faces[best].points)
        faces[best] = replace(faces[best], placed=placed)
        return faces, faces[best].score + sureness

    def _shown(self, image: Image.Image, scale: float) -> list[Face]:
        """Upright faces of a photo that is shown at one scale."""
        width, height = (max(1, round(side * scale)) for side in image.size)
        shown = image.resize((width, height), SHRINK if scale < 1 else SAMPLE)
        ratio = np.array([image.width / width, image.height / height], np.float32)
        faces = []
        for left, top, right, bottom in tiles(width, height):
            canvas = on_canvas(shown.crop((left, top, right, bottom)))
            corner = np.array([left - BORDER, top - BORDER], np.float32)
            boxes, scores, points = self._yunet.faces(canvas, LEAST_SCORE)
            boxes = (boxes.reshape(-1, 2, 2) + corner) * ratio
            points = (points + corner) * ratio
            faces += [
                Face((edges[0], edges[1], edges[2], edges[3]), float(score), place)
                for edges, score, place in zip(
                    boxes.reshape(-1, 4).tolist(), scores, points, strict=True
                )
            ]
        return faces


TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}
"""How Pillow turns a photo, by degrees anticlockwise."""


def scales(long_side: float, min_face: float) -> list[float]:
    """Scales at which a photo is shown for faces of ``min_face`` pixels or more, in order."""
    finest = max(WHOLE / long_side, LEAST_SEEN / min_face)
    steps = math.ceil(math.log(finest * long_side / WHOLE, FINER) - 1e-9)
    return [WHOLE / long_side * FINER**step for step in range(steps)] + [finest]


def tiles(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Boxes of at most ``TILE`` pixels a side that cover an image, sharing a strip."""
    for top in range(0, max(1, height - SHARED), TILE - SHARED):
        for left in range(0, max(1, width - SHARED), TILE - SHARED):
            yield left, top, min(left + TILE, width), min(top + TILE, height)


def on_canvas(image: Image.Image) -> Image.Image:
    """An image with a black border, of sides that the network takes."""
    sides = [math.ceil((side + 2 * BORDER) / MULTIPLE) * MULTIPLE for side in image.size]
    canvas = Image.new("RGB", (sides[0], sides[1]))
    canvas.paste(image, (BORDER, BORDER))
    return canvas


def merged(faces: list[Face]) -> list[Face]:
    """Faces found at several scales or in several tiles, each once."""
    boxes = np.array([face.box for face in faces], np.float32).reshape(-1, 4)
    scores = np.array([face.score for face in faces], np.float32)
    return [faces[index] for index in suppress(boxes, scores, OVERLAP)]


def turned_back(face: Face, degrees: int, size: tuple[int, int]) -> Face:
    """A face in pixels of a photo, from where it lies in the photo turned anticlockwise.

    Args:
        size: width and height of the photo.
    """
    width, height = size
    matrix, shift = {
        90: ([[0, -1], [1, 0]], (width, 0)),
        180: ([[-1, 0], [0, -1]], (width, height)),
        270: ([[0, 1], [-1, 0]], (0, height)),
    }[degrees]
    rotation, offset = np.array(matrix, np.float32), np.array(shift, np.float32)
    corners = np.array(face.box, np.float32).reshape(2, 2) @ rotation.T + offset
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    points: Floats = face.points @ rotation.T + offset
    return Face((left, top, right, bottom), face.score, points, degrees)
