"""Every identity equally often, however many images it has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from faceverify.training.data.samplers.identity_index import IdentityIndex, sweeps


class Balanced:
    """Every identity equally often, give or take one, in an epoch as long as a shuffled one.

    An identity's images come in turn: none a second time before all have come.

    Args:
        labels: the identity of every image, (N,).
        seed: of the order.
        size: images of a batch.
    """

    def __init__(self, labels: NDArray[np.int64], *, seed: int, size: int) -> None:
        self._index = IdentityIndex(labels)
        self._images, self._seed, self._size = len(labels), seed, size

    def __len__(self) -> int:
        return -(-self._images // self._size)

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[NDArray[np.int64]]:
        """The batches of an epoch from number ``start`` on."""
        draw = np.random.default_rng([self._seed, epoch])
        order = self._index.order(draw)
        first, sizes = self._index.first, self._index.sizes
        turns = -(-len(self) * self._size // len(sizes))
        turn_of = sweeps(draw, np.arange(len(sizes)), turns).ravel()  # (turns x C,)
        for batch in range(start, len(self)):
            places = np.arange(batch * self._size, (batch + 1) * self._size)
            identity = turn_of[places]
            yield order[first[identity] + places // len(sizes) % sizes[identity]]
