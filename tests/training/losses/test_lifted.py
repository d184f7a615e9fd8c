"""Lifted structured loss, smooth and with maxima."""

import math

import pytest
import torch
from pair_losses import (
    SPREADS,
    check_equation,
    distance,
    face_batch,
    pairs_of,
    units,
)
from pytorch_metric_learning import losses as peers
from refused_options import check_refused

from faceverify.training.losses import build_head


@pytest.mark.parametrize("options", [{}, {"form": "max"}, {"margin": 0.5}])
@pytest.mark.parametrize("spread", SPREADS)
def test_the_equation_written_out(options, spread):
    check_equation("lifted", options, spread, lifted)


def test_pytorch_metric_learning_gives_the_same():
    rows, _, _ = face_batch(size=20)
    labels = torch.arange(20) % 10
    ours = build_head("lifted", embedding_size=8, classes=10)
    theirs = peers.LiftedStructureLoss()(rows, labels)
    assert ours(rows, labels).item() == pytest.approx(theirs.item(), rel=1e-9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"form": "min"}, "smooth, max"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("lifted", options, words)


def lifted(embeddings, labels, margin=1.0, form="smooth"):
    rows = units(embeddings)
    genuine, impostor = pairs_of(labels)
    total = 0.0
    unordered = [(i, j) for i, j in genuine if i < j]
    for i, j in unordered:
        of_i = [margin - distance(rows[i], rows[k]) for a, k in impostor if a == i]
        of_j = [margin - distance(rows[j], rows[k]) for a, k in impostor if a == j]
        if form == "max":
            joint = max(max(of_i), max(of_j))
        else:
            joint = math.log(sum(map(math.exp, of_i)) + sum(map(math.exp, of_j)))
        total += max(0.0, joint + distance(rows[i], rows[j])) ** 2
    return total / (2 * len(unordered))
