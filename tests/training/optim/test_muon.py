"""Muon: the algorithm written out with a singular value decomposition; whom it leaves to AdamW."""

import pytest
import torch
from torch import nn

from faceverify.training.optim.muon import COEFFICIENTS, ITERATIONS, Muon, orthogonal
from faceverify.training.optim.optimisers import make_optimiser, parameter_groups

RATES, DECAY, MOMENTUM = (0.5, 1.0, 0.2), 0.01, 0.8


def some(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def moved(weight, gradients, *, optimiser=Muon, **group):
    parameter = nn.Parameter(weight.clone())
    groups = [{"params": [parameter], "weight_decay": DECAY, "orthogonal": True} | group]
    if optimiser is Muon:
        chosen = Muon(groups, momentum=MOMENTUM)
    else:
        chosen = torch.optim.AdamW(groups, betas=(MOMENTUM, 0.999))
    for rate, gradient in zip(RATES, gradients, strict=True):
        chosen.param_groups[0]["lr"] = rate
        parameter.grad = gradient.clone()
        chosen.step()
        torch.testing.assert_close(parameter.grad, gradient, rtol=0, atol=0)
    return parameter.detach()


def by_singular_values(matrix):
    """What the iteration does to a matrix is what its quintic does to each singular value."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    values = values / values.square().sum().sqrt()
    first, third, fifth = COEFFICIENTS
    for _ in range(ITERATIONS):
        values = first * values + third * values**3 + fifth * values**5
    return left @ torch.diag(values) @ right


def written_out(weight, gradients):
    shape, velocity = weight.shape, torch.zeros_like(weight)
    for rate, gradient in zip(RATES, gradients, strict=True):
        velocity = MOMENTUM * velocity + gradient
        wanted = (gradient + MOMENTUM * velocity).reshape(shape[0], -1)
        length = max(1, wanted.shape[0] / wanted.shape[1]) ** 0.5
        change = length * by_singular_values(wanted).reshape(shape)
        weight = weight - rate * DECAY * weight - rate * change
    return weight


@pytest.mark.parametrize(
    "shape", [(4, 3), (3, 4), (5, 5), (4, 3, 3, 3), (40, 2, 3, 3), (6, 4, 1, 1)]
)
def test_the_algorithm_written_out(shape):
    weight, gradients = some(*shape), [some(*shape, seed=step) for step in (1, 2, 3)]
    torch.testing.assert_close(moved(weight, gradients), written_out(weight, gradients))


@pytest.mark.parametrize("shape", [(7,), (8, 1, 3, 3), (1, 6)])
def test_vectors_and_depthwise_kernels_move_as_by_adamw(shape):
    weight, gradients = some(*shape), [some(*shape, seed=step) for step in (1, 2, 3)]
    wanted = moved(weight, gradients, optimiser=torch.optim.AdamW)
    torch.testing.assert_close(moved(weight, gradients), wanted, rtol=0, atol=0)


def test_parameters_of_the_method_move_as_by_adamw():
    weight, gradients = some(4, 3), [some(4, 3, seed=step) for step in (1, 2, 3)]
    wanted = moved(weight, gradients, optimiser=torch.optim.AdamW)
    torch.testing.assert_close(moved(weight, gradients, orthogonal=False), wanted, rtol=0, atol=0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    groups = parameter_groups(net, nn.Linear(2, 2), learning_rate=1.0, weight_decay=0.1)
    orthogonalised = [one for group in groups if group["orthogonal"] for one in group["params"]]
    assert len(orthogonalised) == 1
    assert orthogonalised[0] is net[0].weight
    assert isinstance(make_optimiser("muon", groups), Muon)


def test_singular_values_come_near_one():
    matrices = some(8, 12, 20)
    values = torch.linalg.svdvals(orthogonal(matrices))
    assert values.min() > 0.6
    assert values.max() < 1.25
    torch.testing.assert_close(orthogonal(matrices * 1e6), orthogonal(matrices))


def test_several_of_a_shape_move_as_each_alone():
    weights, gradients = (
        [some(4, 3), some(4, 3, seed=9)],
        [some(4, 3, seed=step) for step in (1, 2)],
    )
    parameters = [nn.Parameter(one.clone()) for one in weights]
    optimiser = Muon(
        [{"params": parameters, "weight_decay": DECAY, "orthogonal": True, "lr": 0.5}],
        momentum=MOMENTUM,
    )
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    optimiser.step()
    for weight, parameter, gradient in zip(weights, parameters, gradients, strict=True):
        change = by_singular_values(gradient) * (4 / 3) ** 0.5
        torch.testing.assert_close(parameter.detach(), weight * (1 - 0.5 * DECAY) - 0.5 * change)


def test_without_a_gradient_nothing_moves():
    zero = torch.zeros(4, 3, dtype=torch.float64)
    weight = some(4, 3)
    left = moved(weight, [zero] * 3, weight_decay=0.0)
    torch.testing.assert_close(left, weight, rtol=0, atol=0)
    parameter = nn.Parameter(weight.clone())
    Muon([{"params": [parameter], "weight_decay": DECAY, "orthogonal": True, "lr": 0.5}]).step()
    torch.testing.assert_close(parameter.detach(), weight, rtol=0, atol=0)


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_whose_gradients_overflowed_is_left_out(fused):
    """As float16 has them now and then: neither weights nor velocities have seen them."""
    weights = [nn.Parameter(some(4, 3).float()), nn.Parameter(some(3).float())]
    before = [weight.detach().clone() for weight in weights]
    group = {"params": weights, "weight_decay": DECAY, "orthogonal": True, "lr": 0.5}
    optimiser = Muon([group], momentum=MOMENTUM, fused=fused)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(sum(weight.square().sum() for weight in weights)).backward()
    weights[0].grad[0, 0] = torch.inf
    scaler.unscale_(optimiser)
    scaler.step(optimiser)
    for weight, kept in zip(weights, before, strict=True):
        torch.testing.assert_close(weight.detach(), kept, rtol=0, atol=0)
    assert not optimiser.state


def test_torch_gives_the_same():
    weight, gradients = some(4, 3).float(), [some(4, 3, seed=step).float() for step in (1, 2, 3)]
    parameter = nn.Parameter(weight.clone())
    theirs = torch.optim.Muon([parameter], lr=1.0, weight_decay=DECAY, momentum=MOMENTUM)
    for rate, gradient in zip(RATES, gradients, strict=True):
        theirs.param_groups[0]["lr"] = rate
        parameter.grad = gradient.clone()
        theirs.step()
    found = moved(weight, gradients)
    torch.testing.assert_close(found, parameter.detach(), rtol=0, atol=0.06)  # it has bfloat16
