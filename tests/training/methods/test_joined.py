"""A loss of people joined with a method without names: equation, laws, what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from generated_people import tiny_config, write_people
from launched_processes import become_process, free_port
from slow_views import batch_of, passed, rows
from tiny_runs import UNNAMED, config_of, learn, state_of
from torch import multiprocessing

from faceverify.errors import TrainingError
from faceverify.models.model_file import load_model_file
from faceverify.training.checkpoint.checkpoint import load_progress
from faceverify.training.data.views import Batch
from faceverify.training.distributed.processes import join_processes
from faceverify.training.losses import LOSSES, build_loss
from faceverify.training.methods import METHODS, method_class
from faceverify.training.methods.byol import BYOL
from faceverify.training.methods.joined import Joined
from faceverify.training.methods.method import Method
from faceverify.training.methods.simclr import SimCLR
from faceverify.training.methods.supervised import Supervised
from faceverify.training.metrics_log import read_metrics
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.train import train_model

JOINABLE = [
    name for name in UNNAMED
    if METHODS[name].embeds_images and not METHODS[name].needs_captions
]  # fmt: skip
PEOPLE = torch.tensor([0, 1, 0, 2, 1, 0])


def joined_config(name, **changes):
    """A tiny run of softmax with a method, whose settings move from [method] to [joined]."""
    config = config_of(name, **changes)
    options = {**config.method.options, **changes.get("joined", {})}
    loss = replace(config.loss, name="softmax", options={})
    weight = options.pop("weight", 0.3)
    return replace(
        config,
        loss=loss,
        method=replace(config.method, name="supervised", options={}),
        joined=replace(config.joined, name=name, weight=weight, options=options),
    )


def softmax_and_simclr():
    torch.manual_seed(0)
    loss = build_loss("softmax", embedding_size=5, classes=3)
    torch.nn.init.normal_(loss.softmax.centres)
    return Joined(Supervised(loss), SimCLR(embedding_size=5, projection=4), weight=0.7).double()


def plain(value):
    """A tensor of a checkpoint, be it sharded."""
    return getattr(value, "tensor", value)


def labelled(*views):
    batch = batch_of(*views)
    return Batch(batch.views, PEOPLE, batch.indices, batch.keys)


def test_the_equation_written_out():
    method, first, second = softmax_and_simclr(), rows(seed=1), rows(seed=2)
    engine = method.named.loss.softmax
    logs = [
        torch.log_softmax(engine.centres @ row + engine.bias, dim=0)[person]
        for view in (first, second)  # SupCon's way: each view of an image has its label
        for row, person in zip(view, PEOPLE, strict=True)
    ]
    people = -torch.stack(logs).mean()
    unnamed = method.unnamed(passed, labelled(first, second))
    found = method(passed, labelled(first, second))
    assert found.item() == pytest.approx((people + 0.7 * unnamed).item(), rel=1e-6)
    signs = method.signs()
    assert signs["loss_named"] == pytest.approx(people.item(), rel=1e-6)
    assert signs["loss_unnamed"] == pytest.approx(unnamed.item(), rel=1e-6)


def test_each_view_is_embedded_once():
    calls = []

    def embed(views):
        calls.append([id(view) for view in views])
        return list(views)

    batch = labelled(rows(seed=1), rows(seed=2))
    softmax_and_simclr()(embed, batch)
    assert calls == [[id(view) for view in batch.views]]


class TurnedAround(Method):
    """Embeds none of the views as they are."""

    def forward(self, embed, batch):
        (turned,) = embed([batch.views[0].flip(1)])
        return turned.square().mean()


def test_a_method_that_embeds_other_images_has_the_first_view_beside_them():
    asked = []

    def embed(views):
        asked.append(views)
        return list(views)

    view = rows(seed=1)
    named = softmax_and_simclr().named
    method = Joined(named, TurnedAround(), weight=2.0)
    found = method(embed, labelled(view))
    ((first, turned),) = asked
    assert first is view or torch.equal(first, view)
    assert torch.equal(turned, view.flip(1))
    wanted = named.loss(view, PEOPLE) + 2 * view.square().mean()
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)


@pytest.mark.thorough(but=("simclr", "moco", "swav", "rotation"))
@pytest.mark.parametrize("name", JOINABLE)
def test_every_method_resumes_bit_for_bit_and_all_parts_learn(name, tmp_path):
    config = joined_config(name)
    whole = state_of(config)
    before = {key: one.clone() for key, one in whole.method.named.state_dict().items()}
    lines = learn(whole, config, 4, folder=tmp_path)
    again = state_of(replace(config, seed=1))
    middle = tmp_path / "step-00000002"
    again.restore(middle)
    rest = learn(again, config, 4, progress=load_progress(middle))
    assert [one["loss"] for one in rest] == [one["loss"] for one in lines[2:]]
    first, second = whole.tensors(), again.tensors()
    assert first.keys() == second.keys()
    assert all(torch.equal(plain(first[key]), plain(second[key])) for key in first
               if key != "loss_sum")  # fmt: skip
    assert any(key.startswith("method.unnamed") for key in first) or name in ("distil",)
    assert not torch.equal(whole.method.named.state_dict()["loss.softmax.centres"],
                           before["loss.softmax.centres"])  # fmt: skip
    for line in lines:
        terms = line["loss_named"] + 0.3 * line["loss_unnamed"]
        assert line["loss"] == pytest.approx(terms, rel=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_takes_a_method_beside_it(name):
    config = joined_config("simclr")
    config = replace(config, loss=replace(config.loss, name=name, options={}))
    lines = learn(state_of(config), config, 3)
    assert all(torch.isfinite(torch.tensor(line["loss"])) for line in lines)
    assert lines[0]["loss_unnamed"] > 1


def test_both_losses_fall():
    config = joined_config("simclr", log={"steps": 10})
    lines = learn(state_of(config), config, 60)
    for term in ("loss_named", "loss_unnamed"):
        assert lines[-1][term] < 0.9 * lines[0][term]


def test_a_gradient_cache_changes_nothing():
    plain, cached = joined_config("simclr"), joined_config("simclr", compute={"gradient_cache": 5})
    found = [[line["loss"] for line in learn(state_of(one), one, 3)] for one in (plain, cached)]
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def as_one_of_two(rank: int, port: int, folder: Path) -> None:
    """One process of two, forked: the losses of two joined methods."""
    become_process(rank, 2, port)
    torch.set_num_threads(1)
    with join_processes("cpu") as processes:
        found = {}
        for name in ("simclr", "moco"):
            config = joined_config(name)
            lines = learn(state_of(config, processes), config, 3, processes=processes)
            found[name] = [[line[key] for key in TERMS] for line in lines]
    torch.save(found, folder / f"{rank}.pt")


TERMS = ("loss", "loss_named", "loss_unnamed")


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # no thread of ours runs yet
def test_two_processes_are_one(tmp_path):
    multiprocessing.start_processes(as_one_of_two, (free_port(), tmp_path), 2, start_method="fork")
    found = torch.load(tmp_path / "0.pt")
    for name, lines in found.items():
        config = joined_config(name)
        alone = learn(state_of(config), config, 3)
        for ours, wanted in zip(lines, alone, strict=True):
            assert ours == pytest.approx([wanted[key] for key in TERMS], rel=2e-4), name


def test_class_attributes_are_those_of_the_method_without_names():
    method = method_class(joined_config("byol"))
    assert method.views == BYOL.views
    assert method.needs_labels
    assert method.learns_by_loss


def test_a_run_with_people_becomes_a_model_that_says_so(tmp_path):
    people = write_people(tmp_path / "people")
    config = tiny_config(
        people, loss={"name": "softmax", "scale": None, "margin": None},
        joined={"name": "simclr", "weight": 0.5, "temperature": 0.3},
    )  # fmt: skip
    config = replace(config, loss=replace(config.loss, options={}))
    run, said = RunFolder(tmp_path / "run"), []
    trained = train_model(config, run, say=said.append)
    model = load_model_file(trained.model)
    assert model.provenance.head == "softmax + simclr"
    assert "Joined: simclr (weight 0.5, temperature 0.3)" in model.card
    assert any("resnet18 and softmax + simclr on cpu" in line for line in said)
    assert run.read_config().joined == config.joined
    assert all({"loss_named", "loss_unnamed", "spread"} <= set(line)
               for line in read_metrics(run.metrics))  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"joined": {"name": "simlcr"}}, "unknown method 'simlcr'; did you mean simclr"),
        ({"joined": {"name": "supervised"}}, "joined.name is 'supervised', which learns names"),
        ({"joined": {"name": "mae"}}, "method mae embeds parts of images, and a loss of people"),
        ({"joined": {"name": "simclr", "temperature": 0.0}}, "joined.temperature is 0.0, not abo"),
        ({"joined": {"name": "simclr", "heat": 0.1}}, "method simclr has no option 'heat'"),
        ({"joined": {"name": "simclr", "weight": 0.0}}, "joined.weight is 0, not above 0"),
        ({"joined": {"name": "moco", "queue": 99}}, "joined.queue is 99, not in 1 to the number"),
        ({"joined": {"name": "distil"}}, "method distil learns from a model; give"),
        (
            {"joined": {"name": "dino"}, "compute": {"gradient_cache": 4}},
            "compute.gradient_cache: method dino has views of several sizes",
        ),
        (
            {"joined": {"name": "simclr"}, "compute": {"accumulate": 2}},
            "whose images method simclr compares with each other",
        ),
        (
            {"joined": {"name": "simclr"}, "batches": {"size": 64}},
            "48 photos do not fill a batch of 64",
        ),
        (
            {"method": {"name": "simclr"}, "joined": {"name": "byol"}},
            "adds a method without names to a loss of people, and this run has no loss",
        ),
    ],
)
def test_what_cannot_be_joined_is_one_line_before_the_work(tmp_path, changes, words):
    people, run = write_people(tmp_path / "people"), RunFolder(tmp_path / "run")
    with pytest.raises(TrainingError, match=words) as found:
        train_model(tiny_config(people, **changes), run)
    assert len(str(found.value).splitlines()) == 1
    assert found.value.code in ("training-config", "training-data")
    assert not run.path.exists()
