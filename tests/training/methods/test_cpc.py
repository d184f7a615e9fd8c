"""CPC: patches, what a context sees, and InfoNCE over rows below."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from faceverify.errors import TrainingError
from faceverify.training.backbones import build_backbone
from faceverify.training.data.loading.counter_rng import draws_of
from faceverify.training.data.views import Batch
from faceverify.training.methods.cpc import CPC, one_channelled, overlapping
from faceverify.training.optim.view_encoder import ViewEncoder

SIDE, PATCH, STRIDE, ROWS, SCALE = 20, 8, 4, 4, 20.0


def learner(**options):
    torch.manual_seed(0)
    net = nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(27, 6))
    given = {"patch": PATCH, "stride": STRIDE, "first": 1, "last": 3, "one_channel": 0.0,
             "depth": 2, "width": 8, "projection": 4, "scale": SCALE}  # fmt: skip
    method = CPC(embedding_size=6, backbone=net, input_size=SIDE, **{**given, **options})
    return method.double(), net.double()


def pictures(count=3):
    draws = torch.Generator().manual_seed(1)
    images = torch.randn(count, 3, SIDE, SIDE, generator=draws, dtype=torch.float64)
    keys = np.arange(count, dtype=np.uint64)
    return Batch([images], torch.zeros(count, dtype=torch.int64), np.arange(count), keys)


def patch_at(image, row, column):
    top, left = row * STRIDE, column * STRIDE
    return image[:, top : top + PATCH, left : left + PATCH]


def written_out(method, net, batch):
    """Equations 1 and 2 of CPC v2, one place and one offset at a time."""
    images = batch.views[0]
    places = [(n, i, j) for n in range(len(images)) for i in range(ROWS) for j in range(ROWS)]
    z = {at: net(patch_at(images[at[0]], at[1], at[2])[None])[0] for at in places}
    grid = torch.stack([z[at] for at in places]).view(len(images), ROWS, ROWS, -1)
    c = method.context(grid.permute(0, 3, 1, 2))
    compared = {at: method.target(z[at]).detach() for at in places}
    means = []
    for k, w in zip(range(1, 4), method.predictors, strict=True):
        losses = []
        for n, i, j in places:
            if i + k < ROWS:
                predicted = SCALE * w(c[n, :, i, j]).detach()
                each = {at: math.exp(float(predicted @ one)) for at, one in compared.items()}
                losses.append(-math.log(each[n, i + k, j] / sum(each.values())))
        means.append(sum(losses) / len(losses))
    return sum(means) / len(means)


def test_the_equation_written_out():
    method, net = learner()
    batch = pictures()
    found = method(ViewEncoder(net), batch).item()
    assert found == pytest.approx(written_out(method, net, batch), rel=1e-9)
    assert abs(found - math.log(len(batch) * ROWS**2)) > 0.1  # of patches that are all alike


def test_patches_overlap_and_are_counted_row_by_row():
    images = pictures().views[0]
    patches = overlapping(images, PATCH, STRIDE)
    assert patches.shape == (3, ROWS**2, 3, PATCH, PATCH)
    for number in range(ROWS**2):
        assert torch.equal(patches[1, number], patch_at(images[1], *divmod(number, ROWS)))


def test_a_context_sees_nothing_below():
    method, _ = learner(depth=4)
    grid = torch.randn(1, 6, ROWS, ROWS, dtype=torch.float64)
    before = method.context(grid)
    for row in range(ROWS):
        changed = grid.clone()
        changed[:, :, row] += 1.0
        moved = (method.context(changed) - before).abs().amax(dim=(0, 1, 3)) > 0
        assert moved.tolist() == [False] * row + [True] * (ROWS - row)


def test_some_patches_show_one_channel():
    patches = torch.randn(200, 4, 3, 2, 2)
    keys = np.arange(200, dtype=np.uint64)
    shown, draws = one_channelled(patches, keys, 0.4), draws_of(keys, 8)
    for n, part in ((n, part) for n in range(200) for part in range(4)):
        if draws[n, part] < 0.4:
            channel = int(3 * draws[n, 4 + part])
            assert torch.equal(shown[n, part], patches[n, part, [channel] * 3])
        else:
            assert torch.equal(shown[n, part], patches[n, part])
    assert torch.equal(one_channelled(patches, keys, 0.0), patches)


def test_what_cannot_be_is_refused():
    for options, words in (
        ({"last": 4}, "method.last is 4, not in method.first, 1, to below the 4 rows of patches"),
        ({"first": 3, "last": 2}, "method.last is 2, not in method.first, 3"),
        ({"patch": 21}, "method.patch is 21, not in 1 to the side of a crop, 20"),
    ):
        with pytest.raises(TrainingError, match=words):
            learner(**options)
    small = {"embedding_size": 6, "size": 112, "width": 8, "depth": 1, "heads": 2}
    with pytest.raises(TrainingError, match=r"cpc has patches of 32 pixels, and this backbone"):
        CPC(embedding_size=6, backbone=build_backbone("vit", patch=56, **small), input_size=112)
    CPC(embedding_size=6, backbone=build_backbone("vit", **small), input_size=112)
