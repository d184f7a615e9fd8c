"""P identities x K images, for losses that need genuine pairs in the batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import TrainingError
from faceverify.training.config.fields import config_error
from faceverify.training.data.samplers.identity_index import IdentityIndex, sweeps


class Identities:
    """P identities x K images each, an identity's images side by side.

    Every identity comes equally often, in an epoch of about as many images as there are; where P
    does not divide the identities, the last batch of each sweep takes some a second time. Within an
    epoch an identity's images come in turn. An identity with fewer than K images shows some of them
    twice (augmented each time anew); one with a single image has no genuine pair and is left out.

    Args:
        labels: the identity of every image, (N,).
        seed: of the order.
        size: images of a batch, P x K.
        images_per_identity: K, at least 2.

    Raises:
        TrainingError: too few identities with two images, or no two in a batch.
    """

    def __init__(
        self, labels: NDArray[np.int64], *, seed: int, size: int, images_per_identity: int
    ) -> None:
        self._index = IdentityIndex(labels)
        self._drawn = self._index.several()
        self._seed, self._images = seed, images_per_identity  # K
        self._identities = size // images_per_identity  # P
        if self._identities < 2:
            raise config_error(
                f"a batch of {size} images, {images_per_identity} of each identity, shows no two "
                "identities",
                "raise batches.size or lower batches.images_per_identity",
            )
        check_identities(len(self._drawn), len(self._index.sizes), self._identities)
        # batches until every identity has come
        self._sweep = -(-len(self._drawn) // self._identities)
        images_drawn = int(self._index.sizes[self._drawn].sum())
        self._sweeps = max(1, round(images_drawn / (self._sweep * size)))

    def __len__(self) -> int:
        return self._sweep * self._sweeps

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[NDArray[np.int64]]:
        """The batches of an epoch from number ``start`` on: identity by identity, (P x K,)."""
        draw = np.random.default_rng([self._seed, epoch])
        order = self._index.order(draw)
        turns = sweeps(draw, self._drawn, self._sweeps)
        for batch in range(start, len(self)):
            sweep, place = divmod(batch, self._sweep)
            places = np.arange(place * self._identities, (place + 1) * self._identities)
            identity = turns[sweep, places % len(self._drawn)][:, None]  # (P, 1)
            turn = sweep * self._images + np.arange(self._images)
            images = self._index.first[identity] + turn % self._index.sizes[identity]
            yield order[images].ravel()


def check_identities(drawable: int, identities: int, wanted: int) -> None:
    """Refuse to draw more identities than have two images.

    Raises:
        TrainingError: there are fewer than ``wanted``.
    """
    if drawable >= wanted:
        return
    if drawable == 0:
        raise TrainingError(
            f"none of the {identities} identities has two images, and this loss learns from pairs",
            cure="give people several photos each, or use a softmax loss such as arcface",
            code="training-data",
        )
    raise TrainingError(
        f"a batch has {wanted} identities with two images or more; the data have {drawable}",
        cure="change batches.size or batches.images_per_identity",
        code="training-data",
    )
