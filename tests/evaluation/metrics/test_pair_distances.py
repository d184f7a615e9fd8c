"""Distances of pairs."""

import numpy as np
import pytest

from faceverify.choices import Distance
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.metrics.pair_distances import pair_distances


@pytest.mark.parametrize("distance", Distance)
def test_each_written_out(distance):
    draws = np.random.default_rng(0)
    rows = unit_rows(draws.standard_normal((20, 32)))
    first, second = draws.integers(20, size=(2, 50))
    enrolled = np.arange(20) != 3
    found = pair_distances(rows, enrolled, first, second, distance)
    for one, a, b in zip(found, first, second, strict=True):
        x, y = rows[a].astype(float), rows[b].astype(float)
        expected = {
            Distance.COSINE: 1 - x @ y,
            Distance.EUCLIDEAN: np.linalg.norm(x - y),
            Distance.MANHATTAN: sum(abs(p - q) for p, q in zip(x, y, strict=True)),
        }[distance]
        assert one == (np.inf if 3 in (a, b) else pytest.approx(expected, abs=2e-4))
