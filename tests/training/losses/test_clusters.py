"""k-means in many small sets at once, against what must hold of each set alone."""

import pytest
import torch

from faceverify.training.losses import clusters as module
from faceverify.training.losses.clusters import cluster_centres


def sets_of_points(sizes, most=12, dimensions=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(len(sizes), most, dimensions, generator=generator, dtype=torch.float64)
    for one, size in zip(points, sizes, strict=True):
        one[size:] = 1e3  # what lies beyond a set's size is not looked at
    return points, torch.tensor(sizes)


def test_each_centre_is_the_mean_of_the_points_nearest_to_it():
    points, sizes = sets_of_points([12, 7, 3, 12])
    centres = cluster_centres(points, sizes, 3)
    for own, size, found in zip(points, sizes, centres, strict=True):
        nearest = torch.cdist(own[:size], found).argmin(dim=1)
        for cluster in range(3):
            mean = own[:size][nearest == cluster].mean(dim=0)
            torch.testing.assert_close(found[cluster], mean)


def test_groups_far_apart_are_found():
    torch.manual_seed(0)
    places = torch.tensor([[9.0, 0], [0, 9], [-9, 0]])
    points = places[torch.arange(12) % 3] + 0.1 * torch.randn(12, 2)
    (centres,) = cluster_centres(points[None], torch.tensor([12]), 3)
    assert torch.cdist(places, centres).amin(dim=1).max() < 0.2


def test_small_sets_have_centres_too():
    points, sizes = sets_of_points([0, 1, 2])
    centres = cluster_centres(points, sizes, 3)
    assert not centres[0].any()
    assert torch.equal(centres[1], points[1, :1].expand(3, -1))
    assert torch.cdist(points[2, :2], centres[2]).amin(dim=1).max() == 0


def test_sets_are_worked_on_alone_and_alike(monkeypatch):
    points, sizes = sets_of_points([5, 12, 0, 8, 3])
    together = cluster_centres(points, sizes, 2)
    monkeypatch.setattr(module, "SETS_AT_ONCE", 2)
    assert torch.equal(cluster_centres(points, sizes, 2), together)
    alone = cluster_centres(points[3:4], sizes[3:4], 2)
    torch.testing.assert_close(alone[0], together[3])


@pytest.mark.parametrize("clusters", [1, 2, 5])
def test_one_cluster_is_the_mean_and_more_fit_better(clusters):
    points, sizes = sets_of_points([12])
    centres = cluster_centres(points, sizes, clusters)
    spread = torch.cdist(points[0], centres[0]).amin(dim=1).square().sum()
    mean = points[0].mean(dim=0)
    if clusters == 1:
        torch.testing.assert_close(centres[0, 0], mean)
    else:
        assert spread < (points[0] - mean).square().sum()
