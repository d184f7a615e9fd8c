"""Magnet loss: its equation, its memory and its index."""

import math

import pytest
import torch
from pair_losses import SIZE, batch, build, distance, mean
from refused_options import check_refused


def test_the_equation_written_out_with_one_cluster_an_identity_before_the_first_index():
    embeddings, labels = batch(spread=2.0)
    expected = magnet(embeddings, labels, [0] * len(labels))
    assert expected > 0.1
    assert float(build("magnet")(embeddings, labels)) == pytest.approx(expected, rel=1e-9)


def test_it_indexes_what_it_remembers():
    loss = build("magnet", clusters=2, memory=4, refresh=2, margin=8.0)
    # identity 0 looks two ways, along the first axis
    labels = torch.tensor([0, 0, 0, 0, 1, 1])
    embeddings = torch.randn(6, SIZE, dtype=torch.float64)
    embeddings[:, 0] += torch.tensor([5.0, 5, -5, -5, 0, 0])
    for step in range(2):
        loss.begin_step(step, 2)
        assert not loss.centres.any()
        loss(embeddings, labels)
        loss.finish_step()
    sides = loss.centres[0, :, 0].sort().values
    assert sides.tolist() == pytest.approx([-5, 5], abs=2)
    clusters = [int(loss.centres[0, 0, 0] * row[0] < 0) for row in embeddings[:4]]
    ends = loss.centres[1]
    clusters += [int((ends - row).norm(dim=1).argmin()) for row in embeddings[4:]]
    expected = magnet(embeddings, labels, clusters, margin=8.0)
    assert expected > 0.1
    assert float(loss(embeddings, labels)) == pytest.approx(expected, rel=1e-9)


def test_it_keeps_the_latest_of_each_identity():
    loss = build("magnet", memory=3, refresh=1000)
    for value in range(5):
        loss(torch.full((2, SIZE), float(value), dtype=torch.float64), torch.tensor([1, 3]))
        loss.finish_step()
    assert loss.remembered.tolist() == [0, 5, 0, 5]
    assert loss.memory[1, :, 0].tolist() == [3, 4, 2]
    loss.eval()
    loss(torch.zeros(2, SIZE, dtype=torch.float64), torch.tensor([1, 3]))
    loss.finish_step()
    assert loss.remembered.tolist() == [0, 5, 0, 5]  # validation is not learned from


def test_it_goes_on_from_its_state():
    first, second = build("magnet", refresh=2), build("magnet", refresh=2)
    for step in range(3):
        first.begin_step(step, 6)
        first(*batch(seed=step))
        first.finish_step()
    second.load_state_dict(first.state_dict())
    for step in range(3, 6):
        losses = []
        for loss in (first, second):
            loss.begin_step(step, 6)
            losses.append(float(loss(*batch(seed=step))))
            loss.finish_step()
        assert losses[0] == losses[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"memory": 1}, "at least head.clusters, 2"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("magnet", options, words)


def magnet(embeddings, labels, clusters, margin=1.0):
    """``clusters``: which cluster of its identity each image is in."""
    members = {}
    for n, key in enumerate(zip(labels.tolist(), clusters, strict=True)):
        members.setdefault(key, []).append(n)
    means = {key: embeddings[rows].mean(dim=0) for key, rows in members.items()}
    keys = list(zip(labels.tolist(), clusters, strict=True))
    within = [distance(row, means[key]) ** 2 for row, key in zip(embeddings, keys, strict=True)]
    width = 2 * sum(within) / (len(embeddings) - 1)
    losses = []
    for row, key, own in zip(embeddings, keys, within, strict=True):
        rivals = sum(
            math.exp(-(distance(row, mu) ** 2) / width)
            for other, mu in means.items()
            if other[0] != key[0]
        )
        losses.append(max(0.0, -math.log(math.exp(-own / width - margin) / rivals)))
    return mean(losses)
