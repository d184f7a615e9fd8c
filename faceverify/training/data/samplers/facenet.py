"""FaceNet's batches: 40 images of each of some identities, and random others.

https://arxiv.org/abs/1503.03832, section 3.2: about 1,800 images. With gradient caching they cost
no more memory than small ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import TrainingError
from faceverify.training.data.samplers.identity_index import IdentityIndex, sweeps
from faceverify.training.data.samplers.pk import check_identities

OTHERS = 0.5  # least share of a batch that shows random other people; the paper does not say it


class FaceNet:
    """Up to K images of each identity drawn, all different, then random images of other identities.

    Half of a batch, or more where identities have fewer than K images, is others. Every identity
    comes equally often, as in :class:`~.identities.Identities`; one with a single image only among
    the others.

    Args:
        labels: the identity of every image, (N,).
        seed: of the order.
        size: images of a batch.
        images_per_identity: K.

    Raises:
        TrainingError: too few identities with two images, or too few images to fill a batch.
    """

    def __init__(
        self, labels: NDArray[np.int64], *, seed: int, size: int, images_per_identity: int = 40
    ) -> None:
        self._index = IdentityIndex(labels)
        self._drawn = self._index.several()
        self._seed, self._size, self._images = seed, size, images_per_identity
        self._identities = max(1, int(size * (1 - OTHERS)) // images_per_identity)
        check_identities(len(self._drawn), len(self._index.sizes), self._identities)
        surplus = np.sort((self._index.sizes - images_per_identity).clip(min=0))
        available = len(labels) - int(surplus[-self._identities :].sum())
        if available < size or self._identities * images_per_identity > size:
            raise TrainingError(
                f"a batch of {size} images, {images_per_identity} of an identity, cannot be filled "
                f"from {len(labels)} images of {len(self._index.sizes)} identities",
                cure="lower batches.size or batches.images_per_identity",
                code="training-data",
            )
        self._sweep = -(-len(self._drawn) // self._identities)
        self._sweeps = max(1, round(len(labels) / (self._sweep * size)))

    def __len__(self) -> int:
        return self._sweep * self._sweeps

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[NDArray[np.int64]]:
        """The batches of an epoch from number ``start`` on: identity by identity, then others."""
        draw = np.random.default_rng([self._seed, epoch])
        order = self._index.order(draw)
        turns = sweeps(draw, self._drawn, self._sweeps)
        first, sizes = self._index.first, self._index.sizes
        for batch in range(start, len(self)):
            sweep, place = divmod(batch, self._sweep)
            places = np.arange(place * self._identities, (place + 1) * self._identities)
            identity = np.sort(turns[sweep, places % len(self._drawn)])[:, None]  # (P, 1)
            turn = np.arange(self._images)
            images = first[identity] + (sweep * self._images + turn) % sizes[identity]  # (P, K)
            shown = order[images[turn < sizes[identity]]]
            own = np.random.default_rng(
                [self._seed, epoch, batch]
            )  # so that skipping costs nothing
            others = self._elsewhere(identity[:, 0], self._size - len(shown), own)
            yield np.concatenate([shown, order[others]])

    def _elsewhere(
        self, identities: NDArray[np.int64], count: int, draw: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw places in the order that belong to no one of ``identities``, (count,)."""
        sizes = self._index.sizes[identities]
        skipped = np.concatenate([[0], np.cumsum(sizes)])
        gaps = self._index.first[identities] - skipped[:-1]  # where each begins, without the others
        free = draw.choice(int(self._index.sizes.sum()) - skipped[-1], count, replace=False)
        elsewhere: NDArray[np.int64] = free + skipped[np.searchsorted(gaps, free, side="right")]
        return elsewhere
