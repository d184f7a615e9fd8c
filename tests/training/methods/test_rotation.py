"""RotNet: the cross-entropy of four turns, and which turns those are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from slow_views import batch_of
from tiny_runs import SIDE

from faceverify.errors import TrainingError
from faceverify.training.backbones import contract_for
from faceverify.training.methods.rotation import Rotation

CONTRACT = contract_for("resnet18", embedding_size=12, size=SIDE)


def learner():
    torch.manual_seed(0)
    return Rotation(embedding_size=3 * 4 * 4, contract=CONTRACT, hidden=8)


def flat(views):
    return [view.flatten(1) for view in views]


def pictures(count=5):
    return torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(1))


def slow_probabilities(method, row):
    """The classifier F of a row, number by number."""
    first, _, last = method.classifier
    hidden = [max(0.0, float(w @ row + b)) for w, b in zip(first.weight, first.bias, strict=True)]
    scores = [
        float(w @ torch.tensor(hidden) + b) for w, b in zip(last.weight, last.bias, strict=True)
    ]
    powers = np.exp(scores)
    return powers / powers.sum()


@torch.no_grad()
def test_equation_3_written_out():
    method, images = learner(), pictures()
    losses, right = [], []
    for image in images:
        for turns in range(4):
            turned = np.stack([np.rot90(channel, turns) for channel in image.numpy()])
            shares = slow_probabilities(method, torch.from_numpy(turned.copy()).flatten())
            losses.append(-np.log(shares[turns]))
            right.append(shares.argmax() == turns)
    found = method(flat, batch_of(images))
    assert found.item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert method.signs()["pretext_accuracy"] == pytest.approx(sum(right) / len(right))


def test_the_log_looks_at_upright_photos():
    seen = []

    def kept(views):
        seen.extend(views)
        return flat(views)

    images = pictures()
    learner()(kept, batch_of(images))
    assert seen[0] is images
    assert torch.equal(seen[2], images.flip(2, 3))


def test_crops_that_are_not_square_are_refused():
    with pytest.raises(TrainingError, match=r"rotation turns crops by 90 .* are 16 x 20; use one"):
        Rotation(embedding_size=12, contract=replace(CONTRACT, height=20))
