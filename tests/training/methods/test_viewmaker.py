"""Viewmaker: within its budget, against the loss, and part of the run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from generated_people import tiny_config, write_people
from launched_processes import become_process, free_port
from tiny_runs import config_of, learn, state_of
from torch import multiprocessing

from faceverify.errors import TrainingError
from faceverify.training.checkpoint.checkpoint import load_progress
from faceverify.training.data.views import Batch
from faceverify.training.distributed.processes import join_processes
from faceverify.training.methods.parts.viewmaker import Viewmaker, noise_of
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.train import train_model

MEAN, SCALE = (127.5, 120.0, 100.0), (127.5, 60.0, 100.0)
LEARNED = {"views": {"learned": "viewmaker", "budget": 0.1}}


def viewmaker(budget=0.05, seed=0):
    torch.manual_seed(seed)
    return Viewmaker(budget=budget, mean=MEAN, scale=SCALE)


def batch_of(*sides, images=5):
    """Views in the middle of the range of colours."""
    rng = torch.Generator().manual_seed(1)
    views = [0.2 * torch.rand(images, 3, side, side, generator=rng) for side in sides]
    keys = np.arange(images, dtype=np.uint64) * 977
    return Batch(views, torch.zeros(images), np.arange(images), keys)


@pytest.mark.parametrize("budget", [0.01, 0.05, 0.1])
def test_the_mean_of_what_is_added_is_the_budget(budget):
    batch = batch_of(16, 16, 9)
    made = viewmaker(budget)(batch)
    for view, other in zip(batch.views, made.views, strict=True):
        assert other.shape == view.shape
        pixels = (other - view) * torch.tensor(SCALE)[:, None, None] / 255
        each = pixels.abs().mean(dim=(1, 2, 3))
        assert (each <= budget * 1.001).all()
        assert (each > 0.5 * budget).all()  # a little is cut where colours would leave their range
    assert not torch.allclose(made.views[0] - batch.views[0], made.views[1] - batch.views[1])
    assert made.labels is batch.labels


def test_colours_stay_in_their_range():
    batch = batch_of(16)
    low, high = ((edge - np.array(MEAN)) / SCALE for edge in (0, 255))
    batch = replace(batch, views=[torch.tensor(high[:, None, None]).float().expand(5, 3, 16, 16)])
    (view,) = viewmaker(0.5)(batch).views
    for channel in range(3):
        assert view[:, channel].min() >= low[channel] - 1e-5
        assert view[:, channel].max() <= high[channel] + 1e-5


def test_it_depends_on_the_image_and_its_key_alone():
    made, batch = viewmaker(), batch_of(16, 16)
    together = made(batch)
    for place, part in enumerate(batch.split(5)):
        alone = made(part)
        for view in range(2):
            torch.testing.assert_close(alone.views[view][0], together.views[view][place])
    other = made(replace(batch, keys=batch.keys + np.uint64(1)))
    assert not torch.allclose(other.views[0], together.views[0], atol=1e-4)


def test_its_gradient_has_its_sign_turned_and_what_comes_after_does_not():
    weight = torch.full((3, 16, 16), 0.5, requires_grad=True)
    made, batch = viewmaker(), batch_of(16)
    (view,) = made(batch).views
    (view * weight).sum().backward()
    turned = {name: one.grad.clone() for name, one in made.named_parameters()}
    torch.testing.assert_close(weight.grad, view.detach().sum(dim=0))
    made.zero_grad()
    (noise,) = noise_of(batch, 1)
    (batch.views[0] + made.added(batch.views[0], noise)).mul(weight.detach()).sum().backward()
    for name, one in made.named_parameters():
        torch.testing.assert_close(turned[name], -one.grad, rtol=1e-3, atol=1e-4)


def test_it_learns_to_raise_the_loss():
    made, batch = viewmaker(), batch_of(16)
    pattern = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(2))

    def loss():
        return (made(batch).views[0] * pattern).mean()

    optimiser = torch.optim.SGD(made.parameters(), lr=0.3)
    first = loss().item()
    for _ in range(40):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert loss().item() > first + 0.005


@pytest.mark.parametrize("name", ["simclr", "moco", "swav"])
def test_a_resumed_run_is_the_run_that_never_stopped(name, tmp_path):
    config = config_of(name, views={**config_of(name).views.__dict__, **LEARNED["views"]})
    whole = state_of(config)
    before = [one.clone() for one in whole.method.viewmaker.parameters()]
    lines = learn(whole, config, 4, folder=tmp_path)
    after = list(whole.method.viewmaker.parameters())
    assert all(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
    again = state_of(replace(config, seed=1))
    middle = tmp_path / "step-00000002"
    again.restore(middle)
    rest = learn(again, config, 4, progress=load_progress(middle))
    assert [one["loss"] for one in rest] == [one["loss"] for one in lines[2:]]
    for one, other in zip(after, again.method.viewmaker.parameters(), strict=True):
        assert torch.equal(one, other)


def as_one_of_two(rank: int, port: int, folder: Path) -> None:
    """One process of two, forked."""
    become_process(rank, 2, port)
    torch.set_num_threads(1)
    with join_processes("cpu") as processes:
        config = config_of("simclr", **LEARNED)
        state = state_of(config, processes)
        lines = learn(state, config, 3, processes=processes)
        found = [line["loss"] for line in lines], state.method.viewmaker.state_dict()
    torch.save(found, folder / f"{rank}.pt")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # no thread of ours runs yet
def test_two_processes_are_one(tmp_path):
    multiprocessing.start_processes(as_one_of_two, (free_port(), tmp_path), 2, start_method="fork")
    config = config_of("simclr", **LEARNED)
    state = state_of(config)
    alone = [line["loss"] for line in learn(state, config, 3)]
    losses, weights = torch.load(tmp_path / "0.pt")
    assert losses == pytest.approx(alone, rel=2e-4)
    for name, value in state.method.viewmaker.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=1e-3, atol=1e-4)


def run_of(photos, **changes):
    given = {"method": {"name": "simclr"}, "augmentation": {"least_area": 0.5}, **LEARNED,
             "budget": {"steps": 2}}  # fmt: skip
    return tiny_config(photos, **{**given, **changes})


def test_a_run_with_it_exports_the_backbone_alone(tmp_path):
    photos = write_people(tmp_path / "photos")
    assert train_model(run_of(photos), RunFolder(tmp_path / "run")).model.is_file()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": {"name": "distil"}}, "against views that are compared, and method distil has"),
        ({"method": {"name": "supervised"}}, "and method supervised has one"),
        ({"compute": {"gradient_cache": 4}}, "compute.gradient_cache keeps no gradient of the v"),
        ({"views": {"learned": "viewmaker", "budget": 0.9}}, "views.budget is 0.9, not at most"),
        ({"views": {"learned": "vewmaker"}}, "views.learned is 'vewmaker', .* did you mean view"),
    ],
)
def test_what_it_cannot_learn_against_is_one_line(tmp_path, changes, words):
    photos, run = write_people(tmp_path / "photos"), RunFolder(tmp_path / "run")
    with pytest.raises(TrainingError, match=words):
        train_model(run_of(photos, **changes), run)
    assert not run.path.exists()
