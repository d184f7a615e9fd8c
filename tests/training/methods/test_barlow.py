"""Barlow Twins: the cross-correlation matrix, one entry at a time."""

import pytest
import torch
from slow_views import batch_of, passed, rows

from faceverify.training.methods.barlow import BarlowTwins, redundancy


def written_out(first, second, weight):
    """Equations 1 and 2; numbers have mean 0 over the batch."""
    first, second = first.numpy(), second.numpy()
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    count, size = first.shape
    total = 0.0
    for i in range(size):
        for j in range(size):
            above = sum(first[b, i] * second[b, j] for b in range(count))
            left = sum(first[b, i] ** 2 for b in range(count)) ** 0.5
            right = sum(second[b, j] ** 2 for b in range(count)) ** 0.5
            c = above / (left * right)
            total += (1 - c) ** 2 if i == j else weight * c**2
    return total


def test_the_equation_written_out():
    first, second = rows(9, seed=1), rows(9, seed=2)
    found = redundancy(first, second, 0.3)
    assert found.item() == pytest.approx(written_out(first, second, 0.3), rel=1e-4)


def test_the_loss_is_of_the_projected_views():
    torch.manual_seed(0)
    method = BarlowTwins(embedding_size=5, weight=0.2, projection=4, scale=0.5).double()
    first, second = rows(9, seed=1), rows(9, seed=2)
    projected = [method.projector(view).detach() for view in (first, second)]
    wanted = 0.5 * written_out(*projected, 0.2)
    assert method(passed, batch_of(first, second)).item() == pytest.approx(wanted, rel=1e-3)


def test_lightly_gives_the_same():
    loss = pytest.importorskip("lightly.loss", reason="lightly is not installed")
    first, second = rows(9, seed=1), rows(9, seed=2)
    theirs = loss.BarlowTwinsLoss(lambda_param=0.3)(first, second)
    torch.testing.assert_close(redundancy(first, second, 0.3), theirs, rtol=1e-3, atol=1e-3)
