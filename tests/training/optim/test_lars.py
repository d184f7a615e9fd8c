"""LARS: the algorithm written out; what it leaves out; a matrix cut over processes."""

import math
from pathlib import Path

import pytest
import torch
from launched_processes import become_process, free_port
from torch import multiprocessing, nn

from faceverify.training.distributed.collectives import own_shard
from faceverify.training.distributed.processes import join_processes
from faceverify.training.optim.lars import LARS, TRUST
from faceverify.training.optim.optimisers import make_optimiser, parameter_groups

RATES, DECAY, MOMENTUM = (0.5, 1.0, 0.2), 0.01, 0.8


def norm(values):
    return math.sqrt(sum(one**2 for one in values))


def written_out(weights, gradients, *, adapts):
    """Algorithm 1, one number at a time."""
    weights, velocity = list(weights), [0.0] * len(weights)
    for rate, gradient in zip(RATES, gradients, strict=True):
        decay = DECAY if adapts else 0.0
        local = 1.0
        if adapts:
            local = TRUST * norm(weights) / (norm(gradient) + decay * norm(weights))
        velocity = [
            MOMENTUM * v + rate * local * (g + decay * w)
            for v, g, w in zip(velocity, gradient, weights, strict=True)
        ]
        weights = [w - v for w, v in zip(weights, velocity, strict=True)]
    return weights


def moved(weight, gradients, *, adapts=True, **options):
    parameter = nn.Parameter(weight.clone())
    group = {"name": "w", "params": [parameter], "weight_decay": DECAY if adapts else 0.0}
    optimiser = LARS([group | {"adapts": adapts}], momentum=MOMENTUM, **options)
    for rate, gradient in zip(RATES, gradients, strict=True):
        optimiser.param_groups[0]["lr"] = rate
        parameter.grad = gradient.clone()
        optimiser.step()
    return parameter.detach()


def some(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("adapts", [True, False])
def test_the_algorithm_written_out(adapts):
    weight, gradients = some(4, 3), [some(4, 3, seed=step) for step in (1, 2, 3)]
    wanted = written_out(
        weight.flatten().tolist(), [one.flatten().tolist() for one in gradients], adapts=adapts
    )
    found = moved(weight, gradients, adapts=adapts)
    assert found.flatten().tolist() == pytest.approx(wanted)


def test_a_step_does_not_depend_on_the_scale_of_the_gradient():
    weight = some(4, 3)
    steps = [moved(weight, [scale * some(4, 3, seed=1)] + [some(4, 3) * 0] * 2) - weight
             for scale in (1e6, 1e9)]  # fmt: skip
    torch.testing.assert_close(*steps, rtol=1e-4, atol=1e-9)


def test_zeros_move_by_the_plain_gradient():
    gradients = [some(4, 3, seed=step) for step in (1, 2, 3)]
    assert moved(torch.zeros(4, 3, dtype=torch.float64), gradients).isfinite().all()
    first = moved(torch.zeros(4, 3, dtype=torch.float64), [gradients[0], *[some(4, 3) * 0] * 2])
    assert (first * gradients[0] < 0).all()


def test_norms_and_biases_are_left_out():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    groups = parameter_groups(net, nn.Linear(2, 2), learning_rate=1.0, weight_decay=0.0)
    adapting = {id(one) for group in groups if group["adapts"] for one in group["params"]}
    assert id(net[0].weight) in adapting  # though nothing decays
    assert not adapting & {id(net[0].bias), id(net[1].weight), id(net[1].bias)}
    assert isinstance(make_optimiser("lars", groups), LARS)


def as_one_of_two(rank: int, port: int, folder: Path) -> None:
    become_process(rank, 2, port)
    torch.set_num_threads(1)
    with join_processes("cpu"):
        shard = own_shard(5)
        rows = slice(shard.start, shard.stop)
        parameter = nn.Parameter(some(5, 3)[rows].clone())
        group = {"name": "w", "params": [parameter], "weight_decay": DECAY, "adapts": True}
        optimiser = LARS([group], momentum=MOMENTUM, sharded=[parameter])
        for step, rate in enumerate(RATES, start=1):
            optimiser.param_groups[0]["lr"] = rate
            parameter.grad = some(5, 3, seed=step)[rows].clone()
            optimiser.step()
    torch.save(parameter.detach(), folder / f"{rank}.pt")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_matrix_cut_over_processes_moves_as_a_whole_one(tmp_path):
    multiprocessing.start_processes(as_one_of_two, (free_port(), tmp_path), 2, start_method="fork")
    found = torch.cat([torch.load(tmp_path / f"{rank}.pt") for rank in range(2)])
    wanted = moved(some(5, 3), [some(5, 3, seed=step) for step in (1, 2, 3)])
    torch.testing.assert_close(found, wanted)


def test_lightly_gives_the_same():
    lars = pytest.importorskip("lightly.utils.lars", reason="lightly is not installed")
    weight, gradient = some(4, 3), some(4, 3, seed=1)
    ours, theirs = nn.Parameter(weight.clone()), nn.Parameter(weight.clone())
    group = {"name": "w", "params": [ours], "weight_decay": DECAY, "adapts": True, "lr": 0.5}
    pair = (
        (ours, LARS([group], momentum=MOMENTUM)),
        (theirs, lars.LARS([theirs], lr=0.5, momentum=MOMENTUM, weight_decay=DECAY)),
    )
    for parameter, optimiser in pair:
        for _ in range(3):  # at one rate: theirs is multiplied after the momentum
            parameter.grad = gradient.clone()
            optimiser.step()
    torch.testing.assert_close(ours, theirs)
