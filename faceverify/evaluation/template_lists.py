"""IJB-B/C lists of photos: ``*_face_tid_mid.txt`` and ``*_name_5pts_score.txt``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.pair_rows import integer, read_lines, wrong_line

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, eq=False)
class TemplateMedia:
    """Which photo belongs to which template, and to which media (a still, or a video) in it.

    Args:
        image: names of F photos.
        template, media: ids, (F,) each.
    """

    image: list[str]
    template: NDArray[np.int64]
    media: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FacePoints:
    """What a detector said of each photo.

    Args:
        image: names of F photos.
        points: x, y of eyes, nose and mouth corners, in pixels, (F, 5, 2).
        score: the detector's confidence, (F,).
    """

    image: list[str]
    points: NDArray[np.float64]
    score: NDArray[np.float64]


def read_template_media(path: Path) -> TemplateMedia:
    """Read lines ``IMAGE TEMPLATE MEDIA``.

    Raises:
        PairListError: ``file:line: found ..., expected ...``.
    """
    images, ids = [], []
    for line, text in read_lines(path):
        fields = text.split()
        if len(fields) != 3:
            raise wrong_line(path, line, repr(text), "IMAGE TEMPLATE MEDIA", "correct the line")
        images.append(fields[0])
        ids.append([integer(path, line, field, "an integer id") for field in fields[1:]])
    template, media = np.array(ids, np.int64).T
    return TemplateMedia(images, template, media)


def read_points(path: Path) -> FacePoints:
    """Read lines ``IMAGE x1 y1 ... x5 y5 SCORE``.

    Raises:
        PairListError: ``file:line: found ..., expected ...``.
    """
    images, values = [], []
    for line, text in read_lines(path):
        fields = text.split()
        try:
            numbers = [float(field) for field in fields[1:]]
        except ValueError:
            numbers = []
        if len(numbers) != 11 or not np.isfinite(numbers).all():
            raise wrong_line(path, line, repr(text), "IMAGE, 10 numbers, SCORE", "correct the line")
        images.append(fields[0])
        values.append(numbers)
    table = np.array(values)  # (F, 11)
    return FacePoints(images, table[:, :10].reshape(-1, 5, 2), table[:, 10])
