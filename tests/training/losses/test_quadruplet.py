"""Quadruplet loss, and the counting of quadruplets."""

import pytest
import torch
from pair_losses import (
    SPREADS,
    check_equation,
    distance,
    face_batch,
    mean,
    pairs_of,
    units,
)
from refused_options import check_refused

from faceverify.training.losses.quadruplet import count_quadruplets


@pytest.mark.parametrize(
    "options", [{}, {"margin": 1.0, "second_margin": 0.7}, {"second_margin": 0.0}]
)
@pytest.mark.parametrize("spread", SPREADS)
def test_the_equation_written_out(options, spread):
    check_equation("quadruplet", options, spread, quadruplet)


@pytest.mark.thorough
def test_quadruplets_are_those_listed():
    _, labels, squared = face_batch(size=24, identities=4)
    same = labels[:, None] == labels
    genuine = (same & ~torch.eye(24, dtype=torch.bool)).nonzero().tolist()
    impostor = (~same).nonzero().tolist()
    expected, total = torch.zeros_like(squared), 0
    for a, p in genuine:
        for k, n in impostor:
            apart = labels[a] not in (labels[k], labels[n])
            if apart and squared[a, p] - squared[k, n] + 0.3 > 0:
                expected[a, p] += 1
                expected[k, n] -= 1
                total += 1
    mined = count_quadruplets(squared, labels, 0.3)
    assert mined.triplets == total > 100
    assert torch.equal(mined.counts, expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"second_margin": 0.3}, "second_margin"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("quadruplet", options, words)


def quadruplet(embeddings, labels, margin=0.2, second_margin=0.1):
    """Eq. 6; each term's mean is over those above 0."""
    rows = units(embeddings)
    genuine, impostor = pairs_of(labels)
    first = [
        distance(rows[x], rows[p]) ** 2 - distance(rows[x], rows[n]) ** 2 + margin
        for x, p in genuine
        for one, n in impostor
        if one == x
    ]
    second = [
        distance(rows[x], rows[p]) ** 2 - distance(rows[n1], rows[n2]) ** 2 + second_margin
        for x, p in genuine
        for n1, n2 in impostor
        if labels[x] not in (labels[n1], labels[n2])
    ]
    return mean(one for one in first if one > 0) + mean(one for one in second if one > 0)
