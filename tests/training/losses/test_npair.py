"""N-pair loss, multi-class and one against one."""

import math

import pytest
import torch
from pair_losses import SPREADS, check_equation, face_batch, mean
from pytorch_metric_learning import losses as peers
from pytorch_metric_learning.distances import DotProductSimilarity
from refused_options import check_refused

from faceverify.training.losses import build_head


@pytest.mark.parametrize("options", [{}, {"form": "one-against-one"}, {"norm_weight": 0.02}])
@pytest.mark.parametrize("spread", SPREADS)
def test_the_equation_written_out(options, spread):
    check_equation("npair", options, spread, npair)


def test_pytorch_metric_learning_gives_the_same_of_two_images():
    rows, _, _ = face_batch(size=20)
    labels = torch.arange(20) % 10
    peer = peers.NPairsLoss(distance=DotProductSimilarity(normalize_embeddings=False))
    ours = build_head("npair", embedding_size=8, classes=10)
    assert ours(rows, labels).item() == pytest.approx(peer(rows, labels).item(), rel=1e-9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"form": "n"}, "multi-class"),
        ({"norm_weight": -1.0}, "at least 0"),
    ],
)
def test_an_impossible_option_is_one_line(options, words):
    check_refused("npair", options, words)


def npair(embeddings, labels, form="multi-class", norm_weight=0.0):
    anchors, partners = [], []
    for identity in sorted(set(labels.tolist())):
        members = (labels == identity).nonzero()[:, 0].tolist()
        anchors += members[: len(members) // 2 * 2 : 2]
        partners += members[1::2]
    losses = []
    for i, own in zip(anchors, partners, strict=True):
        rises = [
            float(embeddings[i] @ embeddings[j] - embeddings[i] @ embeddings[own])
            for j in partners
            if labels[j] != labels[i]
        ]
        if form == "multi-class":
            losses.append(math.log(1 + sum(map(math.exp, rises))))
        else:
            losses.append(sum(math.log(1 + math.exp(rise)) for rise in rises))
    return mean(losses) + norm_weight * mean(float(row @ row) for row in embeddings)
