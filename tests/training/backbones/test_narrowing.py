"""A MobileNet is SFace's net, and begins as a wider one with fewer channels."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from faceverify.models.embedder import Embedder
from faceverify.models.model_file import load_model_file
from faceverify.models.registry import find_model
from faceverify.training.backbones.mobilenet import mobilenet
from faceverify.training.backbones.narrowing import fitted, most_telling, narrow
from faceverify.training.backbones.pretrained import initialise

SIDE, SIZE = 32, 8


def net(width, seed):
    torch.manual_seed(seed)
    made = mobilenet(embedding_size=SIZE, size=SIDE, width=width).eval()
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.normal_(0, (2 / module.weight[0].numel()) ** 0.5)
                module.bias.normal_(0, 0.1)
            if isinstance(module, torch.nn.PReLU):
                module.weight.uniform_(0, 0.5)
        made.neck.scale.weight.uniform_(0.5, 2)
    return made


def photos(count=96, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=generator) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic").split(32)


class Spread:
    """Where the channels of a layer are in a wider one: some twice, and constants beside them."""

    def __init__(self, count, total, generator):
        order = torch.randperm(total, generator=generator)
        doubled = (total - count) // 2
        self.first, self.again = order[:count], order[count : count + doubled]
        self.constant = order[count + doubled :]
        self.own = torch.cat([torch.arange(count), torch.arange(doubled)])  # of each below
        self.places = torch.cat([self.first, self.again])
        self.shares = torch.ones(count + doubled)
        self.shares[:doubled], self.shares[count:] = 0.3, 0.7

    def fill_rows(self, wide, layer):
        """Layer and PReLU of each channel, and constants that do not depend on their input."""
        for theirs, own in ((wide.convolution, layer.convolution), (wide.prelu, layer.prelu)):
            theirs.weight[self.places] = own.weight[self.own]
        wide.convolution.weight[self.constant] = 0
        wide.convolution.bias[self.places] = layer.convolution.bias[self.own]
        wide.convolution.bias[self.constant] = 1

    def read(self, weight, total):
        """The weight of a layer that reads them, (outputs, channels, ...) to (outputs, total)."""
        wide = 0.2 * torch.ones(len(weight), total, *weight.shape[2:])
        shares = self.shares.view(-1, *[1] * (weight.dim() - 2))
        wide[:, self.places] = weight[:, self.own] * shares
        return wide


@torch.no_grad()
def spread_over(own, width):
    """A wider net that computes nothing else, but for what constants add."""
    wide, generator = net(width, seed=5), torch.Generator().manual_seed(1)

    def spread(layer, theirs):
        counts = (one.convolution.out_channels for one in (layer, theirs))
        return Spread(*counts, generator)

    at = spread(own.stem, wide.stem)
    at.fill_rows(wide.stem, own.stem)
    for block, theirs in zip(own.blocks, wide.blocks, strict=True):
        at.fill_rows(theirs.depthwise, block.depthwise)
        inputs, at, layer = at, spread(block.pointwise, theirs.pointwise), block.pointwise
        weight = layer.convolution.weight
        layer.convolution.weight = nn.Parameter(
            inputs.read(weight, theirs.depthwise.convolution.out_channels)
        )
        at.fill_rows(theirs.pointwise, layer)
        layer.convolution.weight = weight
    scale, total = own.neck.scale, wide.neck.scale.in_channels
    for one, mine in ((wide.neck.scale.weight, scale.weight), (wide.neck.scale.bias, scale.bias)):
        one[at.places] = mine[at.own]
    projection = own.neck.projection.weight
    columns = at.read(projection.view(len(projection), scale.in_channels, -1), total)
    wide.neck.projection.weight.copy_(columns.flatten(1))
    wide.neck.projection.bias.copy_(own.neck.projection.bias)
    return wide


def test_it_computes_what_sface_computes():
    ours = mobilenet(embedding_size=128).eval()
    contract = initialise(ours, "sface").contract
    embedder = Embedder(load_model_file(find_model("sface")))
    crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    with torch.no_grad():
        found = ours(torch.from_numpy(contract.planes(crops)))
    assert cosine_similarity(found, torch.from_numpy(embedder.embed(crops))).min() > 0.99999


@pytest.mark.thorough
def test_channels_that_are_twice_and_constants_are_left_out_without_loss():
    wide, shown = spread_over(net(0.25, seed=2), 0.5), torch.cat(photos(seed=9))
    begun = net(0.25, seed=3)
    with torch.no_grad():
        assert apart(begun, wide, shown) > 0.5
        narrow(begun, wide, photos())
        assert apart(begun, wide, shown) < 0.15


def apart(one, other, shown):
    """Mean squared difference of two nets' embeddings over their variance."""
    found, theirs = one(shown), other(shown)
    return ((found - theirs) ** 2).mean() / theirs.var(dim=0).mean()


def unexplained(x, y, channels):
    weight, *_ = np.linalg.lstsq(x[:, channels], y, rcond=None)
    return ((y - x[:, channels] @ weight) ** 2).sum()


def test_each_channel_taken_explains_most_beside_the_others():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 8)) + rng.normal(0, 0.4, (400, 8))
    weight = rng.normal(size=(5, 8))
    x = rows - rows.mean(axis=0)
    y = x @ weight.T
    taken: list[int] = []
    for count in range(1, 8):
        rest = [one for one in range(8) if one not in taken]
        taken.append(min(rest, key=lambda one: unexplained(x, y, [*taken, one])))
        found = most_telling(torch.from_numpy(rows), torch.from_numpy(weight), count)
        assert found == sorted(taken)
    best = min(combinations(range(8), 4), key=lambda some: unexplained(x, y, list(some)))
    greedy = most_telling(torch.from_numpy(rows), torch.from_numpy(weight), 4)
    assert unexplained(x, y, greedy) < 1.5 * unexplained(x, y, list(best))


def test_weights_are_fitted_by_least_squares_and_stay_where_nothing_tells():
    rng = np.random.default_rng(0)
    rows = rng.normal(2, 1, (300, 6))
    rows[:, 5] = 7  # never varies
    weight, bias = rng.normal(size=(4, 6)), rng.normal(size=4)
    start = torch.from_numpy(rng.normal(size=(4, 6)))
    wanted = torch.from_numpy(rows @ weight.T + bias)
    found, offset = fitted(torch.from_numpy(rows), wanted, start=start)
    assert found[:, :5].numpy() == pytest.approx(weight[:, :5], abs=0.01)
    assert found[:, 5].allclose(start[:, 5])
    given = torch.from_numpy(rows) @ found.T + offset
    assert given.allclose(wanted, atol=0.05)
