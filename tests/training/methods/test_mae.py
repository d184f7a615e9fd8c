"""MAE: what the encoder sees, and the error of what the decoder paints."""

import numpy as np
import pytest
import torch

from faceverify.errors import TrainingError
from faceverify.training.backbones import build_backbone
from faceverify.training.data.loading.counter_rng import draws_of
from faceverify.training.data.views import Batch
from faceverify.training.methods.mae import MAE
from faceverify.training.optim.view_encoder import ViewEncoder

SIDE, PATCH = 12, 4


def learner(**options):
    torch.manual_seed(0)
    net = build_backbone("vit", embedding_size=6, size=SIDE, patch=PATCH, width=8, depth=1, heads=2)
    given = {"decoder_width": 8, "decoder_depth": 1, "decoder_heads": 2, **options}
    return MAE(embedding_size=6, backbone=net, input_size=SIDE, **given), net


def pictures(count=3):
    images = torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    keys = np.arange(count, dtype=np.uint64)
    return Batch([images], torch.zeros(count, dtype=torch.int64), np.arange(count), keys)


def patch_at(image, number):
    """The pixels of a patch, channel by channel, counted row by row."""
    top, left = (PATCH * place for place in divmod(number, SIDE // PATCH))
    return image[:, top : top + PATCH, left : left + PATCH].reshape(-1)


def written_out(method, net, batch):
    """Section 3, one image and one masked patch at a time."""
    errors = []
    for index, image in enumerate(batch.views[0]):
        draws = draws_of(batch.keys[index : index + 1], 9)[0]
        order = np.argsort(draws, kind="stable")
        seen, masked = order[:2], order[2:]
        tokens = net.tokens(image[None], torch.from_numpy(seen)[None])
        painted = method.painted(tokens, torch.from_numpy(order)[None])[0].detach()
        for place in masked:
            target = patch_at(image, place)
            target = (target - target.mean()) / (target.var() + 1e-6).sqrt()
            errors += ((painted[place] - target) ** 2).tolist()
    return sum(errors) / len(errors)


def test_the_loss_written_out():
    method, net = learner()
    batch = pictures()
    wanted = written_out(method, net, batch)
    assert method(ViewEncoder(net), batch).item() == pytest.approx(wanted, rel=1e-5)


def test_what_is_masked_is_not_seen():
    _, net = learner()
    batch = pictures()
    order = np.argsort(draws_of(batch.keys, 9), axis=1)
    keep = torch.from_numpy(order[:, :2])
    before = net.tokens(batch.views[0], keep)
    for index in range(3):
        for place in order[index, 2:]:
            top, left = (PATCH * at for at in divmod(int(place), 3))
            batch.views[0][index, :, top : top + PATCH, left : left + PATCH] = 9.0
    assert torch.equal(net.tokens(batch.views[0], keep), before)


def test_each_image_and_step_has_a_mask_of_its_own():
    drawn = [draws_of(np.array([key], np.uint64), 9).argsort().tolist() for key in range(20)]
    assert len({str(one) for one in drawn}) == 20


def test_a_backbone_without_patches_is_refused():
    net = build_backbone("resnet18", embedding_size=6, size=32, width=2)
    with pytest.raises(TrainingError, match="this backbone has none; use --backbone vit"):
        MAE(embedding_size=6, backbone=net, input_size=32)
    with pytest.raises(TrainingError, match=r"method\.masked is 0\.01, not a patch of the 9"):
        learner(masked=0.01)
