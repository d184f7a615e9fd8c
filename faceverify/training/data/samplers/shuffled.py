"""Every image once an epoch, in random order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from faceverify.training.data.samplers.identity_index import check_images


class Shuffled:
    """Every image once an epoch, in random order.

    The last batch is filled up from the epoch's beginning: no image is left out, and all batches
    are of one size, which batch normalisation, compiled steps and many processes want.

    Args:
        labels: the identity of every image, (N,).
        seed: of the order.
        size: images of a batch.

    Raises:
        TrainingError: there are no images.
    """

    def __init__(self, labels: NDArray[np.int64], *, seed: int, size: int) -> None:
        check_images(labels)
        self._images, self._seed, self._size = len(labels), seed, size

    def __len__(self) -> int:
        return -(-self._images // self._size)

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[NDArray[np.int64]]:
        """The batches of an epoch from number ``start`` on."""
        order = np.random.default_rng([self._seed, epoch]).permutation(self._images)
        for batch in range(start, len(self)):
            places = np.arange(batch * self._size, (batch + 1) * self._size)
            yield order[places % self._images]
