"""YuNet: a small face detection network with five points.

Wu et al. 2023, https://doi.org/10.1007/s11633-023-1423-y. One pass sees faces from about 16 to 300
pixels. Coordinates are pixels from the image's top left corner.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceverify.faces.detector_net import open_net
from faceverify.faces.nms import suppress

Floats: TypeAlias = "NDArray[np.float32]"

MULTIPLE = 32  # of which the sides of an image must be multiples
STRIDES = (8, 16, 32)  # pixels from one cell to the next, of the network's three outputs
OUTPUTS = tuple(f"{name}_{stride}" for stride in STRIDES for name in ("cls", "obj", "bbox", "kps"))
OVERLAP = 0.3  # IoU of two boxes that are one face, as in the authors' code


class YuNet:
    """The YuNet network; thread-safe.

    Args:
        path: of its ONNX file.

    Raises:
        ModelError: the file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._session = open_net(path)

    def faces(self, image: Image.Image, least: float) -> tuple[Floats, Floats, Floats]:
        """Faces of an image of sides that are multiples of 32.

        Args:
            image: RGB.
            least: score of the faces that count.

        Returns:
            Boxes, (N, 4), left, top, right, bottom; scores, (N,), in [0, 1]; points, (N, 5, 2). The
            best come first.
        """
        pixels = np.asarray(image)[..., ::-1].transpose(2, 0, 1)  # BGR
        planes = np.ascontiguousarray(pixels[None], np.float32)
        outputs = [output[0] for output in self._session.run(OUTPUTS, {"input": planes})]
        parts = [
            decode(outputs[4 * index : 4 * index + 4], stride, image.width // stride, least)
            for index, stride in enumerate(STRIDES)
        ]
        boxes, scores, points = (np.concatenate(part) for part in zip(*parts, strict=True))
        keep = suppress(boxes, scores, OVERLAP)
        return boxes[keep], scores[keep], points[keep]


def decode(
    outputs: list[Floats], stride: int, columns: int, least: float
) -> tuple[Floats, Floats, Floats]:
    """Boxes, scores and points of the cells of one stride that score at least ``least``.

    Args:
        outputs: cls, obj, bbox and kps of the stride's cells, row by row: (C, 1), (C, 1), (C, 4),
            (C, 10).
        columns: cells in a row.
    """
    faceness, objectness, offsets, point_offsets = outputs
    scores = np.sqrt(np.clip(faceness[:, 0], 0, 1) * np.clip(objectness[:, 0], 0, 1))
    keep = np.flatnonzero(scores >= least)
    cells = np.stack([keep % columns, keep // columns], axis=1).astype(np.float32)  # x, y
    middles = (cells + offsets[keep, :2]) * stride
    halves = np.exp(offsets[keep, 2:]) * (stride / 2)
    points = (cells[:, None] + point_offsets[keep].reshape(-1, 5, 2)) * stride
    return np.hstack([middles - halves, middles + halves]), scores[keep], points
