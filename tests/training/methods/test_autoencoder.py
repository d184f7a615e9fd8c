"""Autoencoder: the error of what is painted, what noise hides, and pictures of any size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from slow_pictures import CONTRACT, pictures
from tiny_runs import SIDE, SIZE, tiny

from faceverify.errors import TrainingError
from faceverify.training.data.loading.counter_rng import draws_of
from faceverify.training.data.views import Batch
from faceverify.training.methods.autoencoder import Autoencoder
from faceverify.training.methods.parts.decoder import Decoder, Painted
from faceverify.training.optim.view_encoder import ViewEncoder


def learner(**options):
    torch.manual_seed(0)
    net = tiny(embedding_size=SIZE)
    return Autoencoder(embedding_size=SIZE, contract=CONTRACT, channels=4, **options), net


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_loss_written_out(noise):
    method, net = learner(noise=noise)
    batch = pictures()
    errors, hidden = [], 0
    for image, key in zip(batch.views[0], batch.keys, strict=True):
        seen, draws = image.clone(), draws_of(np.array([key]), SIDE**2)[0]
        for place in range(SIDE**2):
            if draws[place] < noise:
                seen[:, place // SIDE, place % SIDE] = 0
                hidden += 1
        painted = method.decoder(net(seen[None]))[0]
        errors += (painted - image).square().flatten().tolist()
    share = hidden / (4 * SIDE**2)
    assert share == 0 if not noise else 0.25 < share < 0.35
    assert method(ViewEncoder(net), batch).item() == pytest.approx(np.mean(errors), rel=1e-5)


def test_what_is_explained_written_out():
    targets, painted = torch.randn(2, 5, 3, 4, 6, generator=torch.Generator().manual_seed(3))
    where = (torch.rand(5, 1, 4, 6, generator=torch.Generator().manual_seed(4)) < 0.5).float()
    mean = sum(targets) / 5
    error = variance = 0.0
    for target, picture, mask in zip(targets, painted, where, strict=True):
        error += float((mask * (target - picture) ** 2).sum())
        variance += float((mask * (target - mean) ** 2).sum())
    found = Painted(painted, targets, where).explained()
    assert found == pytest.approx(1 - error / variance)
    assert Painted(targets, targets, where).explained() == 1
    assert Painted(mean.expand(5, -1, -1, -1), targets, where).explained() == pytest.approx(0)


@pytest.mark.parametrize("size", [(16, 16), (7, 7), (1, 1), (112, 96), (33, 21), (150, 150)])
def test_a_picture_has_any_size(size):
    decoder = Decoder(5, height=size[0], width=size[1], channels=2)
    rows = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    painted = decoder(rows)
    assert painted.shape == (3, 3, *size)
    torch.testing.assert_close(decoder(rows[1:2])[0], painted[1])  # of itself alone


def test_it_paints_crops_that_are_not_square():
    method = Autoencoder(embedding_size=SIZE, contract=replace(CONTRACT, height=20), channels=2)
    images = torch.zeros(2, 3, 20, SIDE)
    batch = Batch([images], torch.zeros(2), np.arange(2), np.arange(2, dtype=np.uint64))
    assert method(lambda _: [torch.ones(2, SIZE)], batch).isfinite()


def test_options_out_of_range_are_refused():
    for options, words in (
        ({"noise": 1.0}, r"method\.noise is 1\.0, not in 0 to below 1"),
        ({"channels": 0}, r"method\.channels is 0, not at least 1"),
    ):
        with pytest.raises(TrainingError, match=words):
            Autoencoder(embedding_size=SIZE, contract=CONTRACT, **options)
