"""A MobileNet is SFace's net, and begins as a wider one with fewer channels."""

from itertools import combinations

import numpy as np
import pytest
import torch
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
                module.bias.normal_(0, 0.1)
            if isinstance(module, torch.nn.PReLU):
                module.weight.uniform_(0, 0.5)
        made.neck.scale.weight.uniform_(0.5, 2)
    return made


def photos(count=96, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=generator) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic").split(32)


def spread_over(narrow_net, width):
    """The same function in a wider net, its channels among others that nothing reads."""
    wide = net(width, seed=5)
    generator = torch.Generator().manual_seed(1)
    inside = None
    with torch.no_grad():
        for own, theirs in zip(
            [narrow_net.stem, *(part for one in narrow_net.blocks for part in one.children())],
            [wide.stem, *(part for one in wide.blocks for part in one.children())],
            strict=True,
        ):
            layer, slopes = own.convolution, own.prelu
            wider, wider_slopes = theirs.convolution, theirs.prelu
            outputs = inside
            if layer.groups == 1:  # else the same channels go on
                order = torch.randperm(wider.out_channels, generator=generator)
                outputs = order[: layer.out_channels].sort().values
                if inside is not None:
                    wider.weight.zero_()
                    wider.weight[outputs[:, None], inside] = layer.weight
                    rest = order[layer.out_channels :]  # outputs that nobody reads
                    wider.weight[rest[:, None], inside] = torch.randn(
                        len(rest), len(inside), 1, 1, generator=generator
                    )
            if inside is None or layer.groups > 1:
                wider.weight[outputs] = layer.weight
            wider.bias[outputs], wider_slopes.weight[outputs] = layer.bias, slopes.weight
            inside = outputs
        for name in ("weight", "bias"):
            getattr(wide.neck.scale, name)[inside] = getattr(narrow_net.neck.scale, name)
        columns = wide.neck.projection.weight.unflatten(1, (wide.neck.scale.in_channels, -1))
        columns.zero_()
        columns[:, inside] = narrow_net.neck.projection.weight.unflatten(1, (len(inside), -1))
        wide.neck.projection.bias.copy_(narrow_net.neck.projection.bias)
    return wide


def test_it_computes_what_sface_computes():
    ours = mobilenet(embedding_size=128).eval()
    contract = initialise(ours, "sface").contract
    embedder = Embedder(load_model_file(find_model("sface")))
    crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    with torch.no_grad():
        found = ours(torch.from_numpy(contract.planes(crops)))
    assert cosine_similarity(found, torch.from_numpy(embedder.embed(crops))).min() > 0.99999


def test_channels_that_nothing_reads_are_left_out_without_loss():
    own = net(0.25, seed=2)
    wide = spread_over(own, 0.5)
    shown = torch.cat(photos(seed=9))
    with torch.no_grad():
        assert cosine_similarity(own(shown), wide(shown)).min() > 0.9999  # as built here
        begun = net(0.25, seed=3)
        assert cosine_similarity(begun(shown), wide(shown)).mean() < 0.9
        narrow(begun, wide, photos())
        assert cosine_similarity(begun(shown), wide(shown)).min() > 0.999


def test_of_channels_that_are_all_read_much_is_kept():
    wide, begun, cut = net(0.5, seed=1), net(0.25, seed=2), net(0.25, seed=2)
    shown = torch.cat(photos(seed=9))
    narrow(begun, wide, photos())
    with torch.no_grad():
        for own, theirs in zip(cut.parameters(), wide.parameters(), strict=True):
            own.copy_(theirs[tuple(slice(count) for count in own.shape)])
        apart = [1 - cosine_similarity(one(shown), wide(shown)).mean() for one in (begun, cut)]
    assert apart[0] < 0.5 * apart[1]


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
    assert torch.equal(found[:, 5], start[:, 5]) or found[:, 5].allclose(start[:, 5])
    given = torch.from_numpy(rows) @ found.T + offset
    assert given.allclose(wanted, atol=0.05)
