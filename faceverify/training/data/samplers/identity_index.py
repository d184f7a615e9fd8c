"""Where the images of each identity are, and their order in an epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import TrainingError


class IdentityIndex:
    """The images of each identity, in flat arrays: ten million images take 160 MB.

    Args:
        labels: the identity of every image, (N,).

    Attributes:
        first: where each identity's images begin in an :meth:`order`, (C,).
        sizes: how many it has, (C,).

    Raises:
        TrainingError: there are no images.
    """

    def __init__(self, labels: NDArray[np.int64]) -> None:
        check_images(labels)
        _, self._identity, self.sizes = np.unique(labels, return_inverse=True, return_counts=True)
        self.first = np.cumsum(self.sizes) - self.sizes

    def order(self, draw: np.random.Generator) -> NDArray[np.int64]:
        """All images, identity by identity, each identity's in random order, (N,)."""
        shuffled = draw.permutation(len(self._identity))
        return shuffled[np.argsort(self._identity[shuffled], kind="stable")]

    def several(self) -> NDArray[np.int64]:
        """The identities that have a genuine pair."""
        return np.flatnonzero(self.sizes >= 2)


def check_images(labels: NDArray[np.int64]) -> None:
    """Refuse to draw from nothing.

    Raises:
        TrainingError: there are no images.
    """
    if len(labels) == 0:
        raise TrainingError("there are no images to train on", code="training-data")


def sweeps(
    draw: np.random.Generator, identities: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Every identity once, in random order, ``count`` times over: (count, C)."""
    return draw.permuted(np.tile(identities, (count, 1)), axis=1)
