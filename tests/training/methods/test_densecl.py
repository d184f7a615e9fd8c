"""DenseCL: whole views and places, which places belong together, both queues."""

import math

import pytest
import torch
import torch.nn.functional as F
from slow_views import batch_of, cosine, rows
from torch import nn

from faceverify.errors import TrainingError
from faceverify.training.backbones import build_backbone
from faceverify.training.methods.densecl import DenseCL, most_alike, places_of
from faceverify.training.optim.view_encoder import ViewEncoder

HEAT, SHARE, SIDE = 0.3, 0.4, 12


def learner(**options):
    torch.manual_seed(0)
    net = build_backbone("resnet18", embedding_size=5, size=SIDE, width=2, neck="pool").double()
    given = {"queue": 8, "projection": 4, "momentum": 0.9, "temperature": HEAT, "dense": SHARE}
    method = DenseCL(
        embedding_size=5, backbone=net.float(), input_size=64, images=20, **{**given, **options}
    )
    return method.double(), net.double()


def views(seed, count=3, side=32):
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, side, side, generator=draws, dtype=torch.float64)


def info_nce(query, key, others):
    own = math.exp(cosine(query, key) / HEAT)
    return -math.log(own / (own + sum(math.exp(cosine(query, one) / HEAT) for one in others)))


def written_out(method, net, first, second):
    """Equations 1 to 4, one image and one place at a time."""
    taught = method.teacher
    whole, places = [], []
    queries, keys = (
        method.heads.whole(net(first)),
        taught.heads.whole(taught.backbone(second)),
    )
    ours, theirs = net.maps(first), taught.backbone.maps(second)  # (N, C, h, w)
    high, wide = ours.shape[2:]
    every = [(y, x) for y in range(high) for x in range(wide)]
    for n in range(len(first)):
        whole.append(info_nce(*(one[n].detach() for one in (queries, keys)),
                              method.queue.rows))  # fmt: skip
        for y, x in every:
            own = ours[n, :, y, x].detach()
            alike = [cosine(own, theirs[n, :, v, u]) for v, u in every]
            v, u = every[alike.index(max(alike))]
            query = method.heads.places(ours[n, :, y, x]).detach()
            key = taught.heads.places(theirs[n, :, v, u])
            places.append(info_nce(query, key.detach(), method.queue_of_places.rows))
    both = [sum(one) / len(one) for one in (whole, places)]
    return (1 - SHARE) * both[0] + SHARE * both[1]


def test_the_equation_written_out():
    method, net = learner()
    for part in (net, method.teacher.backbone):
        part.eval()  # one photo at a time gives what all of them do
    with torch.no_grad():
        for weight in method.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    first, second = views(1), views(2)
    assert net.maps(first).shape == (3, 16, 2, 2)
    found = method(ViewEncoder(net), batch_of(first, second))
    assert found.item() == pytest.approx(written_out(method, net, first, second))


def test_the_queues_take_in_keys_and_mean_places():
    method, net = learner()
    net.eval(), method.teacher.backbone.eval()
    first, second = views(1), views(2)
    method(ViewEncoder(net), batch_of(first, second))
    taught = method.teacher
    keys = F.normalize(taught.heads.whole(taught.backbone(second)), dim=1)
    projected = taught.heads.places(places_of(taught.backbone.maps(second)))  # (3, 4, P)
    before = taught.backbone.stem[0].weight.clone()
    with torch.no_grad():
        net.stem[0].weight.add_(1.0)
    method.finish_step(net)
    torch.testing.assert_close(method.queue.rows[:3], keys)
    means = F.normalize(projected.mean(dim=1), dim=1)
    torch.testing.assert_close(method.queue_of_places.rows[:3], means)
    torch.testing.assert_close(taught.backbone.stem[0].weight, before + 0.1)


def test_a_mirrored_view_has_its_places_mirrored():
    features = rows(6, 4, seed=1).reshape(1, 6, 4)
    order = torch.tensor([[5, 3, 4, 0, 2, 1]])
    assert torch.equal(most_alike(features, 2 * features[:, order[0]]), order.argsort())


def test_no_weight_on_places_is_moco():
    method, net = learner(dense=0.0)
    net.eval(), method.teacher.backbone.eval()
    first, second = views(1), views(2)
    method(ViewEncoder(net), batch_of(first, second)).backward()
    assert not any(one.grad.any() for one in method.heads.places.parameters())
    assert any(one.grad.any() for one in method.heads.whole.parameters())


def test_backbones_that_are_refused():
    given = {"embedding_size": 5, "images": 9000, "input_size": 32}
    with pytest.raises(TrainingError, match="this backbone gives none; use --backbone resnet18"):
        DenseCL(backbone=nn.Linear(2, 2), **given)
    net = build_backbone("resnet18", embedding_size=5, size=32, width=2, stem="original")
    with pytest.raises(TrainingError, match=r"at 32 pixels that of this backbone has one; use"):
        DenseCL(backbone=net, **given)
    with pytest.raises(TrainingError, match="queue is 21, not in 1 to the number of photos, 20"):
        learner(queue=21)


def test_lightly_gives_the_same():
    loss = pytest.importorskip("lightly.loss", reason="lightly is not installed")
    from lightly.models.utils import select_most_similar

    method, net = learner()
    net.eval(), method.teacher.backbone.eval()
    first, second = views(1), views(2)
    taught = method.teacher
    ours, theirs = places_of(net.maps(first)), places_of(taught.backbone.maps(second))
    kinds = (
        (1 - SHARE, method.queue, method.heads.whole(net(first)),
         taught.heads.whole(taught.backbone(second))),
        (SHARE, method.queue_of_places, method.heads.places(ours).flatten(0, 1),
         select_most_similar(ours, theirs, taught.heads.places(theirs)).flatten(0, 1)),
    )  # fmt: skip
    total = 0
    for weight, queue, queries, keys in kinds:
        contrast = loss.NTXentLoss(temperature=HEAT, memory_bank_size=(8, 4)).double()
        contrast(queries, keys)  # makes its bank
        contrast.memory_bank.bank.copy_(queue.rows)
        total = total + weight * contrast(queries, keys)
    torch.testing.assert_close(method(ViewEncoder(net), batch_of(first, second)), total)
