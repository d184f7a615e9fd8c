"""Parameter groups and optimisers, against the rules written out."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from tiny_runs import config_of, learn, state_of  # noqa: E402
from torch import nn  # noqa: E402

from faceverify.errors import TrainingError  # noqa: E402
from faceverify.training.backbones import build_backbone  # noqa: E402
from faceverify.training.checkpoint.checkpoint import load_progress  # noqa: E402
from faceverify.training.optim.freezing import freeze, stage_names  # noqa: E402
from faceverify.training.optim.optimisers import make_optimiser, parameter_groups  # noqa: E402


class Centres(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 16))
        self.bias = nn.Parameter(torch.zeros(5))


@pytest.fixture
def net():
    return build_backbone("mobilefacenet", embedding_size=16, size=32)


def groups_of(net, **options):
    return parameter_groups(
        net, Centres(), **{"learning_rate": 0.1, "weight_decay": 5e-4, **options}
    )


def test_every_parameter_is_in_one_group(net):
    loss = Centres()
    groups = parameter_groups(net, loss, learning_rate=0.1, weight_decay=5e-4, layer_decay=0.5)
    found = [id(parameter) for group in groups for parameter in group["params"]]
    wanted = {id(p) for p in (*net.parameters(), *loss.parameters())}
    held = {id(p) for p in net.parameters() if not p.requires_grad}  # gain of the last norm
    assert len(found) == len(set(found))
    assert set(found) == wanted - held


def test_only_matrices_and_convolutions_decay(net):
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    kinds = dict(net.named_modules())
    for group in groups_of(net):
        assert group["weight_decay"] == (0.0 if "no decay" in group["name"] else 5e-4)
        for parameter in group["params"]:
            if id(parameter) not in names:
                continue
            module, _, last = names[id(parameter)].rpartition(".")
            decays = isinstance(kinds[module], nn.Conv2d | nn.Linear) and last == "weight"
            assert (group["weight_decay"] > 0) is decays, names[id(parameter)]


def test_what_a_network_of_timm_spares():
    pytest.importorskip("timm")
    net = build_backbone("timm:vit_tiny_patch16_224", embedding_size=8, size=32)
    for group in groups_of(net):
        for parameter in group["params"]:
            if parameter is net.pos_embed or parameter is net.cls_token:
                assert group["weight_decay"] == 0


def test_learning_rates_fall_stage_by_stage(net):
    groups = groups_of(net, layer_decay=0.5, loss_factor=10)
    rates = {group["name"].removesuffix(", no decay"): group["lr"] for group in groups}
    stages = stage_names(net)
    assert [rates[f"backbone.{stage}"] for stage in reversed(stages)] == pytest.approx(
        [0.1, 0.05, 0.025, 0.0125, 0.00625]
    )
    assert rates["loss"] == 1.0
    assert [group["name"] for group in groups_of(net)] == [
        "backbone",
        "backbone, no decay",
        "loss",
        "loss, no decay",
    ]


def test_frozen_parameters_are_left_out(net):
    freeze(net, ["body"])
    parameters = [id(p) for group in groups_of(net) for p in group["params"]]
    assert not set(parameters) & {id(p) for p in net.stem.parameters()}
    assert set(parameters) & {id(p) for p in net.neck.parameters()}


def test_sgd_as_written_out():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(4, 3, dtype=torch.float64))
    optimiser = make_optimiser(
        "sgd",
        [{"name": "w", "params": [weight], "lr": 0.1, "weight_decay": 0.01}],
        momentum=0.8,
    )
    expected, velocity = weight.detach().clone(), torch.zeros(4, 3, dtype=torch.float64)
    for step in range(4):
        gradient = torch.full_like(expected, 0.3 * (step + 1))
        weight.grad = gradient.clone()
        optimiser.step()
        decayed = gradient + 0.01 * expected
        velocity = decayed if step == 0 else 0.8 * velocity + decayed
        expected = expected - 0.1 * velocity
        torch.testing.assert_close(weight.detach(), expected)


def test_adamw_as_written_out():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(4, 3, dtype=torch.float64))
    optimiser = make_optimiser(
        "adamw",
        [{"name": "w", "params": [weight], "lr": 0.1, "weight_decay": 0.01}],
        momentum=0.8,
    )
    expected = weight.detach().clone()
    first = second = torch.zeros(4, 3, dtype=torch.float64)
    for step in range(1, 5):
        gradient = torch.full_like(expected, 0.3 * step)
        weight.grad = gradient.clone()
        optimiser.step()
        first = 0.8 * first + 0.2 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        expected = expected * (1 - 0.1 * 0.01)
        size = first / (1 - 0.8**step) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        expected = expected - 0.1 * size
        torch.testing.assert_close(weight.detach(), expected)


def test_without_a_gradient_vectors_stay(net):
    optimiser = make_optimiser("sgd", groups_of(net, weight_decay=0.1))
    slope, kernel = net.stem[0][2].weight, net.stem[0][0].weight
    before = [slope.detach().clone(), kernel.detach().clone()]
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    torch.testing.assert_close(slope.detach(), before[0], rtol=0, atol=0)
    torch.testing.assert_close(kernel.detach(), before[1] * (1 - 0.1 * 0.1))


@pytest.mark.parametrize(("name", "rate"), [("lars", 2.0), ("muon", 0.01)])
def test_a_resumed_run_has_its_velocities(name, rate, tmp_path):
    config = config_of("simclr", optimiser={"name": name, "learning_rate": rate})
    whole = state_of(config)
    learn(whole, config, 4, folder=tmp_path)
    again = state_of(replace(config, seed=1))
    again.restore(tmp_path / "step-00000002")
    assert any(one.endswith(".velocity") for one in again.tensors())
    learn(again, config, 4, progress=load_progress(tmp_path / "step-00000002"))
    first, second = whole.tensors(), again.tensors()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first if key != "loss_sum")


def test_optimisers_that_are_refused(net):
    groups = groups_of(net)
    for call, says in (
        (lambda: make_optimiser("lamb", groups), "'lamb', not one of sgd, adamw, lars, muon"),
        (lambda: make_optimiser("sgd", []), "every parameter is frozen"),
    ):
        with pytest.raises(TrainingError, match=says):
            call()
