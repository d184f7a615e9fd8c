"""Views of the images of a batch: one of each image, or several, augmented independently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Views:
    """Views that a method needs of each image.

    Args:
        number: views of each image.
    """

    number: int = 1


ONE_VIEW = Views()


@dataclass(frozen=True, eq=False)
class Batch:
    """N images, ready for the network.

    Attributes:
        views: float32, normalised, (N, 3, height, width) each, channels-last memory, on the device.
        labels: the person on each image, int64, or a regression target, float32, (N,); on device.
        indices: positions of the images in the set, (N,).
    """

    views: list[Tensor]
    labels: Tensor
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def split(self, count: int) -> list[Batch]:
        """Split into ``count`` consecutive parts of nearly equal size."""
        views = [view.tensor_split(count) for view in self.views]
        labels, indices = self.labels.tensor_split(count), np.array_split(self.indices, count)
        return [
            Batch([view[part] for view in views], labels[part], indices[part])
            for part in range(count)
        ]
