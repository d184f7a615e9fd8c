"""Spread, effective rank, alignment and uniformity, written out; and their ends."""

import math

import numpy as np
import pytest

from faceverify.matching.sphere import alignment, potentials, spread_and_rank, uniformity, unit


def test_each_written_out():
    rng = np.random.default_rng(0)
    first, second = (unit(rng.normal(size=(7, 4))) for _ in range(2))
    found = spread_and_rank(3 * first)
    assert found["spread"] == pytest.approx(math.sqrt(sum(first[:, d].var() for d in range(4))))
    values = np.linalg.svd(first, compute_uv=False)
    shares = [value / sum(values) for value in values]
    entropy = -sum(share * math.log(share) for share in shares)
    assert found["effective_rank"] == pytest.approx(math.exp(entropy))
    distances = [((a - b) ** 2).sum() for a, b in zip(first, second, strict=True)]
    assert alignment(2 * first, 5 * second) == pytest.approx(sum(distances) / 7)
    pairs = [(i, j) for i in range(7) for j in range(7) if i < j]
    potential = [math.exp(-2 * ((first[i] - first[j]) ** 2).sum()) for i, j in pairs]
    assert uniformity(2 * first) == pytest.approx(math.log(sum(potential) / len(pairs)))


def test_collapsed_and_spread():
    alike = np.ones((6, 4)) * np.arange(1, 7)[:, None]
    assert spread_and_rank(alike) == pytest.approx({"spread": 0, "effective_rank": 1}, abs=1e-5)
    assert uniformity(alike) == pytest.approx(0, abs=1e-12)
    assert alignment(alike, 2 * alike) == pytest.approx(0, abs=1e-12)
    axes = np.concatenate([np.eye(4), -np.eye(4)])
    assert spread_and_rank(axes) == pytest.approx({"spread": 1, "effective_rank": 4})
    assert spread_and_rank(np.zeros((3, 4)))["spread"] == 0


def test_potentials_by_group_in_blocks(monkeypatch):
    monkeypatch.setattr("faceverify.matching.sphere.ROWS", 4)
    rng = np.random.default_rng(1)
    rows, code = unit(rng.normal(size=(15, 3))), rng.integers(5, size=15)
    code[code == 2] = 3  # a group without rows
    expected = np.zeros((5, 5))
    for i in range(15):
        for j in range(15):
            if i != j:
                expected[code[i], code[j]] += math.exp(-2 * ((rows[i] - rows[j]) ** 2).sum())
    assert potentials(rows, code, 5) == pytest.approx(expected)
