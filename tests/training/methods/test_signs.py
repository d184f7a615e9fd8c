"""Signs of a representation, written out; and their ends."""

import math

import numpy as np
import pytest
import torch

from faceverify.training.methods.signs import alignment, spread_and_rank, uniformity


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_each_written_out():
    rng = np.random.default_rng(0)
    first, second = (unit(rng.normal(size=(7, 4))) for _ in range(2))
    found = spread_and_rank(torch.from_numpy(3 * first))
    assert found["spread"] == pytest.approx(math.sqrt(sum(first[:, d].var() for d in range(4))))
    values = np.linalg.svd(first, compute_uv=False)
    shares = [value / sum(values) for value in values]
    entropy = -sum(share * math.log(share) for share in shares)
    assert found["effective_rank"] == pytest.approx(math.exp(entropy))
    distances = [((a - b) ** 2).sum() for a, b in zip(first, second, strict=True)]
    views = torch.from_numpy(2 * first), torch.from_numpy(5 * second)
    assert alignment(*views) == pytest.approx(sum(distances) / 7)
    pairs = [(i, j) for i in range(7) for j in range(7) if i < j]
    potential = [math.exp(-2 * ((first[i] - first[j]) ** 2).sum()) for i, j in pairs]
    assert uniformity(views[0]) == pytest.approx(math.log(sum(potential) / len(pairs)))


def test_collapsed_and_spread():
    alike = torch.ones(6, 4) * torch.arange(1, 7)[:, None]
    assert spread_and_rank(alike) == pytest.approx({"spread": 0, "effective_rank": 1}, abs=1e-5)
    assert uniformity(alike) == pytest.approx(0, abs=1e-12)
    assert alignment(alike, 2 * alike) == pytest.approx(0, abs=1e-12)
    axes = torch.cat([torch.eye(4), -torch.eye(4)])
    assert spread_and_rank(axes) == pytest.approx({"spread": 1, "effective_rank": 4})
    assert spread_and_rank(torch.zeros(3, 4))["spread"] == 0
