"""Similarity of layers: linear centred kernel alignment (CKA), unbiased, in minibatches.

Kornblith et al., "Similarity of neural network representations revisited", 2019,
https://arxiv.org/abs/1905.00414, eq. 1 and 3. HSIC is estimated without bias from each minibatch
and averaged, so that memory does not grow with the photos: Nguyen, Raghu and Kornblith, "Do wide
and deep networks learn the same things?", 2021, https://arxiv.org/abs/2010.15327, eq. 1 to 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]

LEAST = 4  # photos of which HSIC can be estimated without bias


def gram(features: NDArray[np.floating]) -> Rows:
    """Products of the features of every two of n photos, (n, n), of (n, p), without the diagonal.

    HSIC does not change with the origin of the features: they are centred, for the digits' sake.
    """
    rows = np.asarray(features, np.float64)
    rows = rows - rows.mean(axis=0)
    kernel = rows @ rows.T
    np.fill_diagonal(kernel, 0)
    return np.asarray(kernel)


def hsic(first: Rows, second: Rows) -> float:
    """Unbiased estimate of the Hilbert-Schmidt independence criterion, of :func:`gram` of two.

    Song et al., "Feature selection via dependence maximization", 2012, eq. 5.

    Args:
        first: (n, n), n >= 4, zero on the diagonal.
        second: likewise.
    """
    n = len(first)
    shared = np.sum(first * second)
    means = first.sum() * second.sum() / ((n - 1) * (n - 2))
    rows = 2 * (first.sum(axis=0) @ second.sum(axis=0)) / (n - 2)
    return float((shared + means - rows) / (n * (n - 3)))


class LayerSimilarities:
    """Linear CKA of each layer of one model with each of another, minibatch by minibatch."""

    def __init__(self, layers: int, others: int) -> None:
        self._cross = np.zeros((layers, others))
        self._own, self._others = np.zeros(layers), np.zeros(others)

    def add(
        self, layers: Sequence[NDArray[np.floating]], others: Sequence[NDArray[np.floating]]
    ) -> None:
        """Take in a minibatch: features of the same n >= 4 photos in each layer, (n, p) each."""
        ones, twos = [gram(one) for one in layers], [gram(one) for one in others]
        self._own += [hsic(one, one) for one in ones]
        self._others += [hsic(two, two) for two in twos]
        self._cross += [[hsic(one, two) for two in twos] for one in ones]

    def values(self) -> Rows:
        """CKA, (layers, others): 1 for features alike but for rotation and scale, 0 unrelated.

        NaN for a layer that is the same for all photos. Without bias it may fall below 0 a little.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            lengths = np.sqrt(np.outer(np.maximum(self._own, 0), np.maximum(self._others, 0)))
            return np.where(lengths > 0, self._cross / lengths, np.nan)
