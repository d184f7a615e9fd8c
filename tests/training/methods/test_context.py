"""Context prediction: which patches are seen, in which colours, and the loss of their place."""

import numpy as np
import pytest
import torch
from slow_tiles import CONTRACT, pictures, slow_tile
from tiny_runs import SIZE, tiny

from faceverify.errors import TrainingError
from faceverify.training.data.loading.counter_rng import draws_of
from faceverify.training.methods.context import Context, without_colours
from faceverify.training.optim.view_encoder import ViewEncoder


def learner(**options):
    torch.manual_seed(0)
    net = tiny(embedding_size=SIZE)
    given = {"tile": 0.6, "jitter": 0.1, "hidden": 8, **options}
    return Context(embedding_size=SIZE, backbone=net, contract=CONTRACT, **given), net


@torch.no_grad()
@pytest.mark.parametrize("dropped", [0.0, 0.5, 1.0])
def test_the_loss_written_out(dropped):
    method, net = learner(dropped=dropped)
    batch = pictures(8)
    losses, right, dropped_ones = [], [], 0
    for image, key in zip(batch.views[0], batch.keys, strict=True):
        draws = draws_of(np.array([key]), 9)[0]
        number = int(8 * draws[0])
        cell = (0, 1, 2, 3, 5, 6, 7, 8)[number]
        pair = []
        for which, place in enumerate((4, cell)):
            patch = slow_tile(image, place, draws[1 + 2 * which :], side=6, cell_side=10, play=2)
            whether, channel = draws[5 + 2 * which : 7 + 2 * which]
            if whether < dropped:
                patch[[one for one in range(3) if one != int(3 * channel)]] = 0
                dropped_ones += 1
            pair.append(net(patch[None])[0])
        shares = method.classifier(torch.cat(pair)).softmax(dim=0)
        losses.append(-float(shares[number].log()))
        right.append(int(shares.argmax()) == number)
    assert 16 * (dropped > 0.5) <= dropped_ones <= 16 * (dropped > 0)
    assert method(ViewEncoder(net), batch).item() == pytest.approx(np.mean(losses), rel=1e-4)
    assert method.signs()["pretext_accuracy"] == pytest.approx(np.mean(right))


def test_patches_never_meet():
    method, _ = learner()
    assert (method.grid.cell, method.grid.tile, method.grid.play) == (10, 6, 2)
    assert method.grid.cell - method.grid.tile - method.grid.play >= 1  # the gap, at its least


def test_each_channel_is_kept_now_and_then():
    draws = draws_of(np.arange(300, dtype=np.uint64), 2)
    found = without_colours(torch.ones(300, 3, 2, 2), draws, 0.5)[:, :, 0, 0]
    counts = {tuple(row): 0 for row in found.tolist()}
    for row in found.tolist():
        counts[tuple(row)] += 1
    assert counts.keys() == {(1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)}
    assert 120 < counts[1, 1, 1] < 180
    assert min(counts.values()) > 30


def test_what_it_cannot_use_is_one_line():
    with pytest.raises(TrainingError, match=r"method\.jitter is 0\.3, not in 0 to 0\.2, or tiles"):
        learner(jitter=0.3)
    with pytest.raises(TrainingError, match=r"method\.dropped is 1\.5, not in 0 to 1"):
        learner(dropped=1.5)
