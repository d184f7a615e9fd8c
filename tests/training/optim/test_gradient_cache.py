"""Gradient caching: the gradients of the whole batch, in the memory of a chunk."""

import copy
import weakref

import pytest
import torch
from torch import distributed as dist
from torch import multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from faceverify.training.losses import build_head
from faceverify.training.optim.gradient_cache import cached_backward
from faceverify.training.optim.view_encoder import ViewEncoder

LABELS = torch.arange(12) // 3


def backbone(*, dropout=0.0, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Flatten(),
        nn.Linear(8 * 3 * 3, 6),
    ).double()


def batch(size=12, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, 3, 8, 8, generator=generator, dtype=torch.float64)


def head(name="triplet", **options):
    torch.manual_seed(3)
    return build_head(name, embedding_size=6, classes=4, **options).double()


def cached(net, images, loss_of, **options):
    """Of a network and one view of the images."""
    encoder = net if isinstance(net, DistributedDataParallel) else ViewEncoder(net)
    return cached_backward(encoder, lambda embed: loss_of(embed([images])[0]), **options)


def gradients(*modules):
    return [one.grad.clone() for module in modules for one in module.parameters()]


def assert_same(found, expected, **tolerance):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **tolerance)


@pytest.mark.parametrize("name", ["triplet", "proxy-anchor", "supcon"])
@pytest.mark.parametrize("chunk", [1, 5, 6, 12, 100])
def test_gradients_are_those_of_the_plain_way(name, chunk):
    plain, net = backbone().eval(), backbone().eval()
    plain_head, cached_head = head(name), head(name)
    expected = plain_head(plain(batch()), LABELS)
    expected.backward()
    found = cached(net, batch(), lambda embeddings: cached_head(embeddings, LABELS), chunk=chunk)
    assert not found.requires_grad
    torch.testing.assert_close(found, expected.detach())
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients(plain))
    assert_same(gradients(net, cached_head), gradients(plain, plain_head))


def chunked_by_hand(net, images, loss_of, chunk):
    """All chunks in one graph: statistics and dropout chunk by chunk, as caching has them."""
    loss = loss_of(torch.cat([net(part) for part in images.split(chunk)]))
    loss.backward()
    return loss.detach()


def test_training_statistics_move_once_for_each_chunk():
    plain, net = backbone(), backbone()
    triplet = head()
    expected = chunked_by_hand(plain, batch(), lambda rows: triplet(rows, LABELS), 5)
    found = cached(net, batch(), lambda rows: triplet(rows, LABELS), chunk=5)
    torch.testing.assert_close(found, expected)
    assert_same(gradients(net), gradients(plain))
    assert_same(list(net.buffers()), list(plain.buffers()), rtol=0, atol=0)
    assert net[1].num_batches_tracked == 3


def test_dropout_is_drawn_alike_in_both_passes():
    plain, net = backbone(dropout=0.5), backbone(dropout=0.5)
    triplet = head()

    def loss_of(rows):
        return triplet(rows + 0.01 * torch.randn_like(rows), LABELS)  # the loss draws as well

    torch.manual_seed(7)
    expected = chunked_by_hand(plain, batch(), loss_of, 4)
    next_expected = torch.rand(3)
    torch.manual_seed(7)
    found = cached(net, batch(), loss_of, chunk=4)
    assert torch.equal(torch.rand(3), next_expected)  # and the run goes on as it would have
    torch.testing.assert_close(found, expected)
    assert_same(gradients(net), gradients(plain))


def test_the_factor_is_of_the_gradient_alone():
    once, scaled = backbone().eval(), backbone().eval()
    triplet = head()
    losses = [
        cached(net, batch(), lambda rows: triplet(rows, LABELS), chunk=chunk, scale=factor)
        for net, chunk, factor in ((once, 4, 1.0), (scaled, 4, 1024.0))
    ]
    assert losses[0] == losses[1]
    assert_same(gradients(scaled), [1024 * gradient for gradient in gradients(once)])


def test_under_autocast_every_weight_gets_its_gradient():
    plain, net = backbone().float().eval(), backbone().float().eval()
    triplet = head().float()
    images = batch().float()
    with torch.autocast("cpu", torch.bfloat16):
        chunked_by_hand(plain, images, lambda rows: triplet(rows, LABELS), 4)
        cached(net, images, lambda rows: triplet(rows, LABELS), chunk=4)
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients(plain))
    # the plain graph sums the chunks' gradients of a weight in bfloat16, caching in float32
    largest = max(gradient.abs().max() for gradient in gradients(plain))
    assert_same(gradients(net), gradients(plain), rtol=0.05, atol=0.02 * float(largest))


def most_held(step):
    """Bytes of activations that autograd holds at once, at most."""
    held = most = 0

    def release(size):
        nonlocal held
        held -= size

    class Held:
        def __init__(self, tensor):
            self.tensor = tensor

    def keep(tensor):
        nonlocal held, most
        size = tensor.numel() * tensor.element_size()
        held += size
        most = max(most, held)
        kept = Held(tensor)
        weakref.finalize(kept, release, size)
        return kept

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept.tensor):
        step()
    return most


def test_activations_held_do_not_grow_with_the_batch():
    net = backbone()

    def step(size, chunk):
        cached(net, batch(size), lambda rows: rows.square().sum(), chunk=chunk)

    one_chunk = most_held(lambda: step(8, 8))
    assert most_held(lambda: step(96, 96)) > 8 * one_chunk
    assert most_held(lambda: step(96, 8)) <= 1.01 * one_chunk + 96 * 6 * 8  # and the embeddings


def one_of_two(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    net = DistributedDataParallel(ViewEncoder(backbone().eval()))
    reductions = []

    def counting(_state, bucket):
        reductions.append(1)
        work = dist.all_reduce(bucket.buffer(), async_op=True).get_future()
        return work.then(lambda done: done.value()[0] / 2)

    net.register_comm_hook(None, counting)
    triplet = head()
    own = slice(6 * rank, 6 * rank + 6)
    loss = cached(net, batch()[own], lambda rows: triplet(rows, LABELS[own]), chunk=2)
    torch.save((loss, gradients(net), len(reductions)), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_have_the_gradients_of_one(tmp_path):
    multiprocessing.start_processes(one_of_two, (str(tmp_path),), 2, start_method="fork")
    net, triplet = backbone().eval(), head()
    loss = triplet(net(batch()), LABELS)
    loss.backward()
    for rank in range(2):
        found, theirs, reductions = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(found, loss.detach())
        assert_same(theirs, gradients(net))
        assert reductions == 1  # with the last of three chunks


def test_the_backbone_is_left_as_it_was_where_nothing_trains():
    net = backbone().eval()
    before = copy.deepcopy(net.state_dict())
    cached(net, batch(), lambda rows: rows.sum(), chunk=4)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("chunk", [1, 5, 12])
def test_several_views_of_the_images_are_embedded_alike(chunk):
    plain, net = backbone().eval(), backbone().eval()

    def loss_of(embed):
        first, second = embed([batch(), batch(seed=2)])
        return (first * second.cos()).sum()

    expected = loss_of(ViewEncoder(plain))
    expected.backward()
    found = cached_backward(ViewEncoder(net), loss_of, chunk=chunk)
    torch.testing.assert_close(found, expected.detach())
    assert_same(gradients(net), gradients(plain))
