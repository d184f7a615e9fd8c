"""Few-shot classification: episodes of N people with K known photos each.

Snell, Swersky and Zemel, "Prototypical networks", 2017, https://arxiv.org/abs/1703.05175: a class
is the mean of its known embeddings (eq. 1), a photo is of the nearest class (eq. 2); by cosine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.metrics.exact_distances import exact_rows

CLEARLY = 1e-9  # cosines nearer to each other than this are a tie, whatever the processor


@dataclass(frozen=True, eq=False)
class EpisodeAnswers:
    """Correct answers of E episodes of W people.

    Args:
        people: number of each person asked for, (E, W).
        right: correct answers among the queries of each person, (E, W).
        queries: of each person.
    """

    people: NDArray[np.int64]
    right: NDArray[np.int64]
    queries: int

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Of each episode, (E,)."""
        return np.asarray(self.right.mean(axis=1) / self.queries)


def episodes(
    embeddings: NDArray[np.floating],
    enrolled: NDArray[np.bool_],
    photos_of: list[NDArray[np.int64]],
    *,
    ways: int,
    shots: int,
    queries: int,
    count: int,
    seed: int,
) -> EpisodeAnswers:
    """Seeded episodes; photos are drawn without replacement within an episode, anew in the next.

    A photo without an embedding adds nothing to its class, and is answered wrongly; a tie, too.

    Args:
        embeddings: (N, D); rows of photos without one are not looked at.
        enrolled: whether each photo has an embedding, (N,).
        photos_of: indices of each person's photos, at least ``shots + queries`` each; P people.
        ways: people in an episode, at most P.
        shots: known photos of each.
        queries: asked photos of each.
        count: number of episodes.
        seed: of the draws.

    Raises:
        ModelError: an embedding is NaN, infinite or zero.
    """
    rows = np.zeros(embeddings.shape)
    rows[enrolled] = exact_rows(embeddings[enrolled])
    draws = np.random.default_rng([seed, ways, shots, queries])
    people, right = np.zeros((2, count, ways), np.int64)
    for episode in range(count):
        people[episode] = draws.permutation(len(photos_of))[:ways]
        drawn = np.stack(
            [draws.permutation(photos_of[one])[: shots + queries] for one in people[episode]]
        )  # (W, K + Q)
        known, asked = drawn[:, :shots], drawn[:, shots:]
        prototypes = rows[known].sum(axis=1)  # (W, D)
        length = np.linalg.norm(prototypes, axis=1)
        cosine = rows[asked] @ prototypes.T / np.maximum(length, 1e-30)  # (W, Q, W)
        cosine[..., length == 0] = -np.inf  # no known photo has an embedding
        own = np.einsum("wqw->wq", cosine).copy()
        np.einsum("wqw->wq", cosine)[...] = -np.inf
        won = (own > cosine.max(axis=2) + CLEARLY) & enrolled[asked]
        right[episode] = won.sum(axis=1)
    return EpisodeAnswers(people, right, queries)
