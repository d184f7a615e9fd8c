"""One template a person: the mean of the person's templates, of length 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceverify.gallery.search import Rows


def means(parts: Sequence[Rows]) -> Rows:
    """The mean of each person's rows, ordered by the person's number.

    Sums are taken in double precision. Rows that cancel out have no direction: their mean is 0,
    whose distance to everybody is 1.
    """
    identities = np.concatenate([part.identities[_alive(part)] for part in parts])
    people, owners = np.unique(identities, return_inverse=True)
    width = parts[0].embeddings.shape[1]
    sums = np.zeros((len(people), width))
    np.add.at(sums, owners, np.concatenate([part.embeddings[_alive(part)] for part in parts]))
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    unit = np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 1e-9)
    return Rows(unit.astype(np.float32), people.astype(np.int32), people.astype(np.int64))


def _alive(part: Rows) -> slice | NDArray[np.bool_]:
    return slice(None) if part.alive is None else part.alive
