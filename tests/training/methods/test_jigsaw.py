"""Jigsaw: where tiles are from, in which order they are, and the set of orders."""

from itertools import permutations

import numpy as np
import pytest
import torch
from slow_tiles import CONTRACT, SIDE, pictures, slow_tile
from tiny_runs import SIZE, tiny

from faceverify.errors import TrainingError
from faceverify.training.backbones import build_backbone
from faceverify.training.data.loading.counter_rng import draws_of
from faceverify.training.methods.jigsaw import Jigsaw, all_permutations, distant_permutations
from faceverify.training.methods.parts.tiles import Grid, levelled
from faceverify.training.optim.view_encoder import ViewEncoder


def learner(**options):
    torch.manual_seed(0)
    net = tiny(embedding_size=SIZE)
    given = {"permutations": 5, "tile": 0.8, "hidden": 8, **options}
    return Jigsaw(embedding_size=SIZE, backbone=net, contract=CONTRACT, **given), net


@torch.no_grad()
def test_the_loss_written_out():
    method, net = learner()
    batch = pictures()
    losses, right = [], []
    for image, key in zip(batch.views[0], batch.keys, strict=True):
        draws = draws_of(np.array([key]), 19)[0]
        number = int(5 * draws[0])
        tiles = [
            slow_tile(image, cell, draws[1 + 2 * at :], side=8, cell_side=10, play=2)
            for at, cell in enumerate((4, 0, 1, 2, 3, 5, 6, 7, 8))
        ]
        order = distant_permutations(5)[number]
        features = torch.cat([net(tiles[place][None])[0] for place in order])
        shares = method.classifier(features).softmax(dim=0)
        losses.append(-float(shares[number].log()))
        right.append(int(shares.argmax()) == number)
    assert len({int(5 * one[0]) for one in draws_of(batch.keys, 19)}) > 1
    assert method(ViewEncoder(net), batch).item() == pytest.approx(np.mean(losses), rel=1e-4)
    assert method.signs()["pretext_accuracy"] == pytest.approx(np.mean(right))


def hamming(first, second):
    return sum(a != b for a, b in zip(first, second, strict=True))


def test_the_set_of_algorithm_1_written_out():
    """On five items, each next permutation by a search of all that are left."""
    everything = list(permutations(range(5)))
    found = [everything[0]]
    while len(found) < 12:
        left = [one for one in everything if one not in found]
        found.append(
            max(left, key=lambda one: (min(hamming(one, taken) for taken in found),
                                       sum(hamming(one, taken) for taken in found)))
        )  # fmt: skip
    assert distant_permutations(12, 5).tolist() == [list(one) for one in found]
    assert distant_permutations(7, 5).tolist() == [list(one) for one in found[:7]]


@pytest.mark.thorough
def test_the_permutations_are_far_apart_and_always_the_same():
    rows = distant_permutations(64)
    assert [sorted(row) for row in rows.tolist()] == [list(range(9))] * 64
    apart = [hamming(a, b) for i, a in enumerate(rows) for b in rows[:i]]
    assert min(apart) >= 7
    assert np.mean(apart) > 8  # a random pair differs at 8 places of 9
    assert rows[:3].tolist() == [
        [0, 1, 2, 3, 4, 5, 6, 7, 8],
        [1, 0, 3, 2, 5, 4, 7, 8, 6],
        [2, 3, 0, 1, 6, 7, 8, 4, 5],
    ]
    assert "orders" not in learner()[0].state_dict()


def test_all_permutations_in_order():
    assert all_permutations(5).tolist() == [list(one) for one in permutations(range(5))]


@pytest.mark.parametrize("shape", [(32, 32), (30, 41)])
def test_a_tile_lies_anywhere_in_its_own_cell(shape):
    grid = Grid(cell=10, tile=7, play=3)
    image = torch.randn(1, 3, *shape, generator=torch.Generator().manual_seed(1))
    seen = {cell: set() for cell in range(9)}
    crops = {
        (cell, top, left): crop(image, cell, top, left)
        for cell in range(9) for top in range(4) for left in range(4)
    }  # fmt: skip
    for number in range(100):
        draws = np.random.default_rng(number).random((1, 9, 2))
        for cell, tile in enumerate(grid.tiles(image, np.arange(9)[None], draws)):
            places = [
                (top, left)
                for top in range(4)
                for left in range(4)
                if float((tile - crops[cell, top, left]).abs().max()) < 1e-4
            ]
            assert len(places) == 1
            seen[cell].update(places)
    assert all(len(places) == 16 for places in seen.values())


def crop(image, cell, top, left):
    """Seven pixels of a cell, levelled."""
    top, left = top + 10 * (cell // 3), left + 10 * (cell % 3)
    return levelled(image[:, :, top : top + 7, left : left + 7], image)


def test_a_tile_tells_neither_colour_nor_contrast_and_a_plain_one_is_no_noise():
    image = torch.randn(2, 3, 20, 20, generator=torch.Generator().manual_seed(2))
    tile = image[:, :, :6, :6] * 3 + 1
    for found, wanted in zip(
        torch.std_mean(levelled(tile, image), dim=(2, 3), correction=0),
        torch.std_mean(image, dim=(2, 3), correction=0),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted)
    plain = torch.full((2, 3, 6, 6), 0.3) + 1e-4 * tile
    assert levelled(plain, image).std(dim=(2, 3)).max() < 0.1
    assert levelled(torch.zeros(2, 3, 6, 6), torch.zeros(2, 3, 9, 9)).isfinite().all()


def test_a_backbone_of_one_size_is_refused():
    net = build_backbone("vit", embedding_size=SIZE, size=SIDE, patch=16, heads=1)
    net.train()
    words = r"jigsaw has tiles of 8 pixels, and this backbone does not embed them; use --backb"
    with pytest.raises(TrainingError, match=words):
        Jigsaw(embedding_size=SIZE, backbone=net, contract=CONTRACT, tile=0.8)
    assert net.training
    net = build_backbone("vit", embedding_size=SIZE, size=SIDE, patch=8, width=16, depth=1, heads=2)
    Jigsaw(embedding_size=SIZE, backbone=net, contract=CONTRACT, tile=0.8, permutations=2)


def test_options_out_of_range_are_refused():
    with pytest.raises(TrainingError, match=r"method\.permutations is 1001, not in 2 to 1000"):
        learner(permutations=1001)
    with pytest.raises(TrainingError, match=r"method\.tile is 1\.1, not above 0 and at most 1"):
        learner(tile=1.1)
