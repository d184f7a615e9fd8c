"""The worst errors of listed pairs and of a full cross-comparison."""

import numpy as np
import pytest

from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.protocols.worst import worst_of_all, worst_pairs


def test_the_worst_of_listed_pairs():
    distances = np.array([0.1, 0.9, 0.5, np.inf, 0.3, np.inf])
    same = np.array([False, False, True, True, False, False])
    first, second = np.arange(6), np.arange(6) + 10
    found = worst_pairs(distances, same, first, second, most=2)
    assert [pair.first for pair in found.false_matches] == [0, 4]
    assert [pair.second for pair in found.false_non_matches] == [13, 12]  # failed ones first


def test_the_worst_of_all_pairs_is_that_of_every_pair_written_out(monkeypatch):
    from faceverify.evaluation.protocols import worst as module

    monkeypatch.setattr(module, "ROWS", 8)
    monkeypatch.setattr(module, "COLUMNS", 16)
    draws = np.random.default_rng(0)
    rows = unit_rows(draws.standard_normal((50, 6)))
    names = [str(code) for code in draws.integers(7, size=50)]
    enrolled = draws.uniform(size=50) < 0.9
    found = worst_of_all(rows, enrolled, names, most=5)
    pairs = [
        (float(1 - rows[i] @ rows[j]), i, j)
        for i in range(50) for j in range(i + 1, 50) if enrolled[i] and enrolled[j]
    ]  # fmt: skip
    near = sorted(pair for pair in pairs if names[pair[1]] != names[pair[2]])[:5]
    far = sorted((pair for pair in pairs if names[pair[1]] == names[pair[2]]), reverse=True)[:5]
    assert [{p.first, p.second} for p in found.false_matches] == [{i, j} for _, i, j in near]
    assert [{p.first, p.second} for p in found.false_non_matches] == [{i, j} for _, i, j in far]
    assert found.false_matches[0].distance == pytest.approx(near[0][0], abs=1e-6)
    assert found.false_non_matches[0].distance == pytest.approx(far[0][0], abs=1e-6)


def test_fewer_pairs_than_wanted():
    rows, enrolled = unit_rows(np.eye(2)), np.ones(2, bool)
    assert len(worst_of_all(rows, enrolled, ["a", "b"]).false_matches) == 1
    assert worst_of_all(rows, enrolled, ["a", "b"]).false_non_matches == ()
