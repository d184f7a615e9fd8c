"""Views of the images of a batch: one of each image, or several, varied independently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Views:
    """How a method sees each image of a batch.

    Args:
        number: how many views of it.
    """

    number: int = 1


ONE_VIEW = Views()


@dataclass(frozen=True, eq=False)
class Batch:
    """N images, ready for the network.

    Attributes:
        views: float32, normalised, (N, 3, height, width) each, channels-last memory, on the device.
        labels: the person on each image, int64, (N,), or a value to learn, float32; on the device.
        indices: positions of the images in the set, (N,).
    """

    views: list[Tensor]
    labels: Tensor
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def parts(self, count: int) -> list[Batch]:
        """The batch in parts of nearly equal size, in order."""
        views = [view.tensor_split(count) for view in self.views]
        labels, indices = self.labels.tensor_split(count), np.array_split(self.indices, count)
        return [
            Batch([view[part] for view in views], labels[part], indices[part])
            for part in range(count)
        ]
