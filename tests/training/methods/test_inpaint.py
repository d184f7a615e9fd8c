"""Context encoder: which block is hidden, and the error in it alone."""

import numpy as np
import pytest
import torch
from slow_pictures import CONTRACT, pictures
from tiny_runs import SIDE, SIZE, tiny

from faceverify.errors import TrainingError
from faceverify.training.data.loading.counter_rng import draws_of
from faceverify.training.methods.inpaint import Inpaint, blocks_at
from faceverify.training.optim.view_encoder import ViewEncoder


def learner(masked=0.25):
    torch.manual_seed(0)
    net = tiny(embedding_size=SIZE)
    return Inpaint(embedding_size=SIZE, contract=CONTRACT, masked=masked, channels=4), net


@pytest.mark.parametrize("masked", [0.25, 0.6])
def test_equation_1_written_out(masked):
    method, net = learner(masked)
    batch = pictures()
    side = round(masked**0.5 * SIDE)
    errors, around = [], []
    for image, key in zip(batch.views[0], batch.keys, strict=True):
        top, left = (int(draw * (SIDE - side + 1)) for draw in draws_of(np.array([key]), 2)[0])
        block = (slice(None), slice(top, top + side), slice(left, left + side))
        seen = image.clone()
        seen[block] = 0
        painted = method.decoder(net(seen[None]))[0]
        errors += (painted - image)[block].square().flatten().tolist()
        around += (image - batch.views[0].mean(dim=0))[block].square().flatten().tolist()
    assert method(ViewEncoder(net), batch).item() == pytest.approx(np.mean(errors), rel=1e-5)
    explained = 1 - np.mean(errors) / np.mean(around)
    assert method.signs()["explained"] == pytest.approx(explained, rel=1e-4)


def test_what_is_hidden_is_not_seen():
    method, _ = learner()
    batch, seen = pictures(), []

    def embed(views):
        seen.append(views[0].clone())
        return [torch.zeros(4, SIZE)]

    method(embed, batch)
    hidden = torch.from_numpy(blocks_at(draws_of(batch.keys, 2), (8, 8), (SIDE, SIDE)))
    batch.views[0].masked_fill_(hidden[:, None], 9.0)
    method(embed, batch)
    assert torch.equal(*seen)


def test_a_block_lies_anywhere_and_whole():
    draws = draws_of(np.arange(400, dtype=np.uint64), 2)
    blocks = blocks_at(draws, (3, 2), (5, 4))
    assert blocks.sum(axis=(1, 2)).tolist() == [6] * 400
    places = {tuple(np.argwhere(block)[0].tolist()) for block in blocks}
    assert places == {(top, left) for top in range(3) for left in range(3)}


def test_a_share_out_of_range_is_refused():
    for masked in (0.0, 1.0):
        with pytest.raises(TrainingError, match=f"method.masked is {masked}, not above 0 and bel"):
            learner(masked)
