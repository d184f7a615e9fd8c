"""How near new faces are to other people, and to what their own people are enrolled with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.matching.distance import cosine_distance

if TYPE_CHECKING:
    from faceverify.gallery.store import Store


class Neighbours:
    """The nearest of new faces, among those stored and those of themselves that were admitted.

    Args:
        store: the gallery.
        model: id of the model that made the embeddings.
        names: whose each new face is said to be, N.
        embeddings: of length 1, (N, D).
    """

    def __init__(
        self, store: Store, model: str, names: Sequence[str], embeddings: NDArray[np.float32]
    ) -> None:
        self._names = names
        self._embeddings = embeddings
        # of two people at least one is another
        nearest = store.search(embeddings, 2, model=model)
        self._others = [
            [(one.distance, one.name) for one in found if one.name != name]
            for name, found in zip(names, nearest, strict=True)
        ]
        self._own = {
            name: [template.embedding for template in store.of(name, model=model)]
            for name in set(names)
        }
        self._admitted: list[int] = []

    def admit(self, index: int) -> None:
        """Count a new face among those that later ones are compared with."""
        self._admitted.append(index)

    def other(self, index: int) -> tuple[float, str] | None:
        """Distance and name of the nearest person of another name; None where there is none."""
        here = [i for i in self._admitted if self._names[i] != self._names[index]]
        distances = self._distances(index, [self._embeddings[i] for i in here])
        near = [(distance, self._names[i]) for distance, i in zip(distances, here, strict=True)]
        return min(self._others[index] + near, default=None)

    def own(self, index: int) -> float | None:
        """Distance of the nearest template of the same name; None where there is none."""
        name = self._names[index]
        here = [self._embeddings[i] for i in self._admitted if self._names[i] == name]
        return min(self._distances(index, self._own[name] + here), default=None)

    def _distances(self, index: int, others: list[NDArray[np.float32]]) -> list[float]:
        if not others:
            return []
        found: list[float] = cosine_distance(self._embeddings[index], np.stack(others)).tolist()
        return found
