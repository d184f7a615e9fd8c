"""O-Net, the third network of MTCNN, https://arxiv.org/abs/1604.02878: five points of a face.

It is shown the face upright, always of the same size and in the same place, and mirrored as well.
Nothing is stretched: what lies beyond the photo is black.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceverify.faces.detector_net import open_net
from faceverify.faces.similarity import carried_back, similarity, warp

Floats: TypeAlias = "NDArray[np.float32]"

SIDE = 48  # pixels of the window in which the network is shown a face
# Where the five points lie in the window: those of arcface-112 about their middle, 1.05 times the
# size at which a crop of 112 pixels would fill the window, and a pixel lower
WINDOW_POINTS = (
    (16.52, 16.41),
    (32.38, 16.32),
    (24.50, 25.43),
    (17.99, 34.71),
    (31.12, 34.64),
)
MIRRORED = [1, 0, 2, 4, 3]  # the point that each becomes in a mirrored face


class ONet:
    """The O-Net network; thread-safe.

    Args:
        path: of its ONNX file.

    Raises:
        ModelError: the file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._session = open_net(path)

    def points(self, image: Image.Image, points: Floats) -> tuple[Floats, float]:
        """Five points of a face, and how sure it is that this is one, in [0, 1].

        Args:
            image: RGB.
            points: about where they are, (5, 2), in pixels of the image.
        """
        matrix = similarity(points, WINDOW_POINTS)
        window = np.asarray(warp(image, matrix, (SIDE, SIDE)), np.float32)
        both = np.stack([window, window[:, ::-1]])
        scores, _, found = self._session.run(None, {"photos": both})
        upright, mirrored = found.reshape(2, 2, 5).transpose(0, 2, 1) * SIDE
        mirrored = mirrored[MIRRORED] * (-1, 1) + (SIDE, 0)
        middle = carried_back((upright + mirrored) / 2, matrix)
        return middle.astype(np.float32), float(scores.mean())
