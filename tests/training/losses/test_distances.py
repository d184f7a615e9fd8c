"""Distances of a batch, against one pair at a time."""

import pytest
import torch

from faceverify.training.losses.distances import (
    euclidean_distances,
    genuine_and_impostor,
    squared_distances,
)
from faceverify.training.losses.l2_normalize import l2_normalize


def rows(size=20, dimensions=128, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(size, dimensions, generator=generator, dtype=dtype)


def test_each_is_the_distance_of_its_pair():
    embeddings = rows()
    expected = torch.stack([(embeddings - row).norm(dim=1) for row in embeddings])
    torch.testing.assert_close(euclidean_distances(embeddings), expected)
    torch.testing.assert_close(squared_distances(embeddings), expected.square())


@pytest.mark.parametrize("copies", [1, 10])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_twins_are_at_distance_0_and_pull_nowhere(copies, dtype):
    distinct = l2_normalize(rows(10 // copies, dtype=dtype))
    embeddings = distinct.repeat(copies, 1).requires_grad_()
    distances = euclidean_distances(embeddings)
    twins = torch.cdist(distinct, distinct).repeat(copies, copies) == 0
    twins |= torch.eye(len(embeddings), dtype=torch.bool)
    assert not distances[twins].any()
    assert (distances[~twins] > 0.1).all()
    distances.sum().backward()
    assert embeddings.grad.norm(dim=1).max() <= 2 * len(embeddings)  # each distance has slope 1


def test_a_small_distance_is_not_lost():
    embeddings = l2_normalize(rows(2, dtype=torch.float32))
    embeddings[1] = embeddings[0]
    embeddings[1, 0] += 0.005
    assert float(euclidean_distances(embeddings)[0, 1]) == pytest.approx(0.005, rel=0.05)


def test_masks_are_of_pairs_of_different_images():
    genuine, impostor = genuine_and_impostor(torch.tensor([1, 0, 1]))
    assert genuine.int().tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert impostor.int().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
