"""How embeddings of people lie on the sphere: alignment, uniformity, spread within and between.

Each is a sum over people or over pairs of them, so that a bootstrap over people only weighs sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.matching.sphere import potentials, spread_and_rank

Rows = NDArray[np.float64]

MOST_PEOPLE = 8192  # sums between people are people by people: 512 MB


@dataclass(frozen=True, eq=False)
class PeopleSums:
    """Sums over the photos of P people, from which the measures of weighted people follow.

    Args:
        photos: number of photos, (P,).
        apart: squared distances of the unordered pairs of a person's photos, (P,).
        within: squared distances of a person's photos from their mean, (P,).
        total: sum of a person's embeddings, (P, D).
        potential: exp(-2 |x - y|^2) of ordered pairs of photos of two people, (P, P); None with
            more people than ``MOST_PEOPLE``.
    """

    photos: Rows
    apart: Rows
    within: Rows
    total: Rows
    potential: Rows | None

    def alignment(self, drawn: Rows) -> Rows:
        """Mean squared distance of two photos of a person, (R,), of drawn people, (R, P).

        Wang and Isola 2020, https://arxiv.org/abs/2005.10242, eq. 2, alpha = 2.
        """
        pairs = self.photos * (self.photos - 1) / 2
        with np.errstate(invalid="ignore"):
            return np.asarray((drawn @ self.apart) / (drawn @ pairs))

    def uniformity(self, drawn: Rows) -> Rows | None:
        """Logarithm of the mean potential of two photos, (R,); ibid., eq. 3, t = 2.

        Pairs within a person weigh as the person is drawn, pairs of two as both, multiplied.
        """
        if self.potential is None:
            return None
        own = np.diag(self.potential)
        others = self.potential - np.diag(own)
        photos = drawn * self.photos
        within = drawn @ (self.photos * (self.photos - 1))
        pairs = photos.sum(axis=1) ** 2 - np.square(photos).sum(axis=1) + within
        sums = np.einsum("rp,rp->r", drawn @ others, drawn) + drawn @ own
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.log(sums / pairs))

    def spreads(self, drawn: Rows) -> tuple[Rows, Rows]:
        """Spread within and between people, (R,) each, of people with several photos.

        The roots of the mean squared distances of photos from their person's mean, and of these
        means, photo by photo, from the mean of all: the squares add up to that of the spread.
        """
        several = self.photos > 1
        drawn, photos, total = drawn[:, several], self.photos[several], self.total[several]
        with np.errstate(invalid="ignore", divide="ignore"):
            count = drawn @ photos
            within = (drawn @ self.within[several]) / count
            means = (drawn @ (np.square(total).sum(axis=1) / photos)) / count
            middle = np.square((drawn @ total) / count[:, None]).sum(axis=1)
        return np.sqrt(within), np.sqrt(np.maximum(means - middle, 0))


def sums_of_people(embeddings: NDArray[np.floating], code: NDArray[np.int64]) -> PeopleSums:
    """The sums of embeddings, (N, D), by the number of their person, (N,).

    Raises:
        ModelError: an embedding is NaN, infinite or zero.
    """
    rows = unit_rows(embeddings).astype(np.float64)
    people = int(code.max(initial=-1)) + 1
    photos = np.bincount(code, minlength=people).astype(np.float64)
    total = np.zeros((people, rows.shape[1]))
    np.add.at(total, code, rows)
    squares = np.bincount(code, weights=np.square(rows).sum(axis=1), minlength=people)
    length = np.square(total).sum(axis=1)
    return PeopleSums(
        photos,
        np.maximum(photos * squares - length, 0),  # sum of |x - y|^2 = n sum |x|^2 - |sum x|^2
        np.maximum(squares - length / np.maximum(photos, 1), 0),
        total,
        potentials(rows, code, people) if people <= MOST_PEOPLE else None,
    )


def spread_and_rank_of(embeddings: NDArray[np.floating]) -> dict[str, float]:
    """Spread and effective rank, see :func:`faceverify.matching.sphere.spread_and_rank`."""
    return spread_and_rank(unit_rows(embeddings))
