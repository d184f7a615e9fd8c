"""Export: the file embeds as torch does, holds every weight, and is written only if it is right."""

import copy
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
onnx = pytest.importorskip("onnx", reason="needs the train extra")

from onnx import numpy_helper  # noqa: E402
from photographs import BIDEN, OBAMA  # noqa: E402
from torch import nn  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from faceverify.cli.app import build_app  # noqa: E402
from faceverify.errors import ModelError, OutputError, TrainingError  # noqa: E402
from faceverify.models.embedder import Embedder  # noqa: E402
from faceverify.models.install.outputs import cosines  # noqa: E402
from faceverify.models.model_file import (  # noqa: E402
    Provenance,
    Threshold,
    load_model_file,
    parse_model_file,
)
from faceverify.runtime.onnx_session import open_session  # noqa: E402
from faceverify.training.backbones import build_backbone, contract_for  # noqa: E402
from faceverify.training.export import export  # noqa: E402
from faceverify.training.export.export import PARITY, export_model  # noqa: E402
from faceverify.training.export.onnx_graph import graph_of  # noqa: E402

WHO = Provenance("mine", "mobilefacenet", "arcface", "made up", "CC0-1.0")
AT = Threshold(1e-3, 0.4, 0.1, 1_000, 100, (5e-4, 2e-3), "made up")
SIDE = 32


def make(name="mobilefacenet", size=SIDE, embedding_size=16, seed=0, **options):
    """A backbone with norms as training leaves them, so that crops differ in their embeddings."""
    return copy.deepcopy(made(name, size, embedding_size, seed, *options.items()))


@cache
def made(name, size, embedding_size, seed, *options):
    torch.manual_seed(seed)
    net = build_backbone(name, embedding_size=embedding_size, size=size, **dict(options))
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the statistics of what it has seen, not of the last of it
        if isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, -0.3, 0.6)
    with torch.no_grad():
        net(torch.rand(16, 3, size, size) * 2 - 1)
        net(torch.rand(16, 3, 1, 1) * 2 - torch.rand(16, 3, size, size))
    return net


def write(net, path, *, name="mobilefacenet", size=SIDE, embedding_size=16, **options):
    contract = contract_for(name, embedding_size=embedding_size, size=size)
    return export_model(net, path, **{"contract": contract, "provenance": WHO, **options})


@pytest.mark.thorough(but=("resnet18-options2",))
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mobilefacenet", {}),
        pytest.param("iresnet18", {}, marks=pytest.mark.slow),
        ("resnet18", {"width": 16, "stem": "original", "neck": "pool"}),
    ],
)
def test_the_file_embeds_as_torch_does(tmp_path, name, options):
    net = make(name, **options)
    path = tmp_path / "model.onnx"
    exported = write(net, path, name=name, thresholds=[AT], card="# Mine\n\nmade up")
    model = load_model_file(path, "mine")
    assert exported.path == path
    assert exported.model_id == model.id
    assert exported.largest_cosine_difference < 1e-6
    assert (model.provenance, model.thresholds, model.card) == (WHO, (AT,), "# Mine\n\nmade up")

    crops = np.random.default_rng(1).integers(0, 256, (21, SIDE, SIDE, 3), np.uint8)
    x = torch.from_numpy((crops.transpose(0, 3, 1, 2) - np.float32(127.5)) / np.float32(127.5))
    with torch.no_grad():
        net.eval()
        expected = (net(x) + net(x.flip(3))).numpy()
    found = Embedder(model).embed(crops)
    np.testing.assert_allclose(
        found, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5
    )
    # the embeddings differ from crop to crop, or the comparison would say nothing
    assert cosines(expected[:-1], expected[1:]).max() < 0.99


def test_any_number_of_crops_and_none_knows_of_the_others(tmp_path):
    session = open_session(graph_of(make(), size=SIDE))
    crops = np.random.default_rng(2).normal(size=(5, 3, SIDE, SIDE)).astype(np.float32)
    (together,) = session.run(None, {"crops": crops})
    alone = np.concatenate([session.run(None, {"crops": crop[None]})[0] for crop in crops])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_every_weight_is_there_under_its_own_name():
    net = build_backbone("mobilefacenet", embedding_size=16, size=SIDE)  # with many equal ones
    graph = onnx.load_from_string(graph_of(net, size=SIDE)).graph
    stored = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    for key, value in net.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(stored[key].reshape(value.shape), value.numpy(), key)
    operators = {node.op_type for node in graph.node}
    assert not operators & {"PRelu", "Identity", "Unsqueeze"}


@pytest.mark.thorough
def test_the_same_weights_give_the_same_bytes(tmp_path):
    net = make()
    first = write(net, tmp_path / "a.onnx")
    again = write(copy.deepcopy(net).to(memory_format=torch.channels_last), tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert again.model_id == first.model_id
    with torch.no_grad():
        net.neck.projection.weight[0, 0] += 0.1
    assert write(net, tmp_path / "b.onnx").model_id != first.model_id


def test_what_is_exported_stays_as_it_was(tmp_path):
    net = make()
    net.train()
    net.stem.eval()
    before = copy.deepcopy(net.state_dict())
    write(net, tmp_path / "model.onnx")
    assert net.training
    assert net.stage1.training
    assert not net.stem.training
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.slow
def test_wrappers_are_taken_off(tmp_path):
    net = make()
    plain = write(net, tmp_path / "a.onnx")
    wrapped = write(nn.DataParallel(torch.compile(net)), tmp_path / "b.onnx")
    assert wrapped.model_id == plain.model_id


@pytest.mark.thorough
def test_a_file_of_other_weights_is_not_written(tmp_path, monkeypatch):
    net, other = make(), make(seed=1)
    monkeypatch.setattr(export, "graph_of", lambda _net, size: graph_of(other, size=size))
    with pytest.raises(TrainingError, match=r"from torch's, more than 0\.0001"):
        write(net, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_slightly_wrong_slope_is_seen(tmp_path, monkeypatch):
    """The check is not blind: a tenth off in the slopes of one layer is more than it lets pass."""
    net, other = make(), make()
    with torch.no_grad():
        other.stage2[0].branch[0][2].weight += 0.1
    monkeypatch.setattr(export, "graph_of", lambda _net, size: graph_of(other, size=size))
    with pytest.raises(TrainingError, match="from torch's"):
        write(net, tmp_path / "model.onnx")
    assert PARITY <= 1e-4


@pytest.mark.thorough(but=("nan",))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, 1e30])
def test_a_diverged_backbone_is_not_written(tmp_path, value):
    net = make()
    with torch.no_grad():
        net.neck.output_norm.weight.fill_(value)
        net.neck.output_norm.bias.fill_(value)
    with pytest.raises(TrainingError, match="nothing to export") as caught:
        write(net, tmp_path / "model.onnx")
    assert caught.value.code == "training-diverged"
    assert not list(tmp_path.iterdir())


def test_crops_of_the_caller_are_compared_too(tmp_path):
    net = make()
    crops = np.full((2, SIDE, SIDE, 3), 90, np.uint8)
    assert write(net, tmp_path / "model.onnx", crops=crops).largest_cosine_difference < 1e-6


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OutputError, match="create the folder"):
        write(make(), tmp_path / "none" / "model.onnx")


def test_cards_that_could_do_something_to_a_terminal(tmp_path):
    write(make(), tmp_path / "model.onnx", card="fine\n\nlines")
    model = load_model_file(tmp_path / "model.onnx", "x")
    assert model.card == "fine\n\nlines"
    assert replace(model, card="").id == model.id
    for card in ("\x1b[31m", "a\rb"):
        with pytest.raises(ModelError, match="a line of the card"):
            parse_model_file(replace(model, card=card).to_bytes(), "x")


@pytest.mark.thorough
def test_from_a_backbone_to_a_decision(tmp_path):
    path = tmp_path / "model.onnx"
    write(make(size=112), path, size=112, thresholds=[AT], card="the card")
    verify = ["verify", "--model", str(path), "--fmr", "0.001"]
    assert CliRunner().invoke(build_app(), [*verify, OBAMA, BIDEN]).exit_code in (0, 1)
    assert CliRunner().invoke(build_app(), [*verify, OBAMA, OBAMA]).exit_code == 0
    assert "the card" in CliRunner().invoke(build_app(), ["weights", "show", str(path)]).output
