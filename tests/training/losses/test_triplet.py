"""Triplet loss: its equation under each rule of mining."""

import pytest
import torch
from pair_losses import (
    SPREADS,
    batch,
    build,
    check_equation,
    distance,
    face_batch,
    mean,
    pairs_of,
    units,
)
from pytorch_metric_learning import losses as peers
from pytorch_metric_learning import miners
from pytorch_metric_learning.distances import LpDistance
from refused_options import check_refused

from faceverify.training.losses import build_head
from faceverify.training.losses.mining import MINING


@pytest.mark.parametrize(
    "options",
    [
        *({"mining": rule} for rule in MINING),
        {"without_semi_hard": "farthest"},
        {"mining": "all", "margin": 1.0},
    ],
)
@pytest.mark.parametrize("spread", SPREADS)
def test_the_equation_written_out(options, spread):
    check_equation("triplet", options, spread, triplet)


@pytest.mark.parametrize("rule", MINING)
def test_gradients_of_each_rule_are_those_of_the_loss(rule):
    embeddings, labels = batch(spread=1.0)
    loss = build("triplet", mining=rule)
    assert torch.autograd.gradcheck(lambda rows: loss(rows, labels), embeddings.requires_grad_())


@pytest.mark.parametrize(
    ("rule", "miner"),
    [
        ("all", None),
        ("hard", lambda **of: miners.TripletMarginMiner(0.2, "hard", **of)),
        ("batch-hard", lambda **of: miners.BatchHardMiner(**of)),
    ],
)
def test_pytorch_metric_learning_gives_the_same(rule, miner):
    rows, labels, _ = face_batch()
    ours = build_head("triplet", embedding_size=8, classes=103, mining=rule)(rows, labels)
    squared = LpDistance(power=2)
    peer = peers.TripletMarginLoss(margin=0.2, distance=squared)
    theirs = peer(rows, labels, miner(distance=squared)(rows, labels) if miner else None)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"margin": 0.0}, "margin is 0.0"),
        ({"mining": "hardest"}, "semi-hard, batch-hard, hard, all"),
        ({"without_semi_hard": "stop"}, "skip, farthest"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("triplet", options, words)


def triplet(embeddings, labels, mining="semi-hard", margin=0.2, without_semi_hard="skip"):
    """The mean over the triplets that a rule takes, and whose loss is above 0."""
    rows = units(embeddings)
    genuine, impostor = pairs_of(labels)
    losses = []
    for a in range(len(labels)):
        pulled = [distance(rows[i], rows[j]) ** 2 for i, j in genuine if i == a]
        pushed = [distance(rows[i], rows[j]) ** 2 for i, j in impostor if i == a]
        if not pulled or not pushed:
            continue
        if mining == "batch-hard":
            losses.append(max(pulled) - min(pushed) + margin)
        for p in pulled:
            if mining == "all":
                losses += [p - n + margin for n in pushed]
            if mining == "hard":
                losses += [p - n + margin for n in pushed if n < p]
            if mining == "semi-hard":
                beyond = [n for n in pushed if n > p]
                if beyond:
                    losses.append(p - min(beyond) + margin)
                elif without_semi_hard == "farthest":
                    losses.append(p - max(pushed) + margin)
    return mean(loss for loss in losses if loss > 0)
