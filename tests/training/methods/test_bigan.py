"""BiGAN: whose loss is whose, and what each side learns from."""

import math

import numpy as np
import pytest
import torch
from slow_pictures import CONTRACT, pictures
from tiny_runs import SIZE, tiny

from faceverify.training.data.loading.counter_rng import normal_draws
from faceverify.training.methods.bigan import BiGAN
from faceverify.training.optim.view_encoder import ViewEncoder


def learner():
    torch.manual_seed(0)
    net = tiny(embedding_size=SIZE)
    return BiGAN(embedding_size=SIZE, contract=CONTRACT, channels=4, hidden=8), net


def sigmoid(logit):
    return 1 / (1 + math.exp(-float(logit)))


def halves(method, net, batch):
    """Equation 2 for the discriminator, and with swapped labels for encoder and generator."""
    value, swapped, right = [], [], []
    for image, key in zip(batch.views[0], batch.keys, strict=True):
        drawn = torch.from_numpy(normal_draws(np.array([key]), SIZE)).float()
        real = sigmoid(method.discriminator(image[None], net(image[None])))
        made = sigmoid(method.discriminator(method.generator(drawn), drawn))
        value.append(math.log(real) + math.log(1 - made))
        swapped.append(math.log(made) + math.log(1 - real))
        right += [real > 0.5, made < 0.5]
    return -sum(value) / len(value), -sum(swapped) / len(swapped), sum(right) / len(right)


@torch.no_grad()
def test_equation_2_written_out():
    method, net = learner()
    batch = pictures()
    first, second, right = halves(method, net, batch)
    loss = method(ViewEncoder(net), batch)
    assert loss.item() == pytest.approx(first + second, rel=1e-5)
    assert method.signs()["discriminator_loss"] == pytest.approx(first, rel=1e-5)
    assert method.signs()["told_apart"] == pytest.approx(right)


def slopes(part):
    return [parameter.grad.clone() for parameter in part.parameters()]


def test_each_side_learns_from_its_own_half_alone():
    """The gradients of the one loss are those of two losses, each with the other side held."""
    method, net = learner()
    batch = pictures()
    method(ViewEncoder(net), batch).backward()
    found = [slopes(part) for part in (method.discriminator, method.generator, net)]
    drawn = torch.from_numpy(normal_draws(batch.keys, SIZE)).float()
    (images,) = batch.views

    def logits():
        return (
            method.discriminator(images, net(images)),
            method.discriminator(method.generator(drawn), drawn),
        )

    for sides, half in (
        ((method.discriminator,), lambda real, made: (real.sigmoid().log()
                                                      + (1 - made.sigmoid()).log())),
        ((method.generator, net), lambda real, made: (made.sigmoid().log()
                                                      + (1 - real.sigmoid()).log())),
    ):  # fmt: skip
        method.zero_grad()
        net.zero_grad()
        (-half(*logits()).mean()).backward()
        for part in sides:
            for ours, wanted in zip(found.pop(0), slopes(part), strict=True):
                torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-7)
    assert not found
