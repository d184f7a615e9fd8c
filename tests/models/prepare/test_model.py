"""Preparation of model files: the id and the embeddings stay, or the file does."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper
from small_nets import net_of, small_contract, small_model, small_net

from faceverify.errors import ModelError
from faceverify.models.contract import Contract
from faceverify.models.embedder import Embedder
from faceverify.models.metadata import PreparedFrom
from faceverify.models.model_file import ModelFile, Provenance, load_model_file, parse_model_file
from faceverify.models.prepare.model import prepared_model

RNG = np.random.default_rng(0)
CROPS = RNG.integers(0, 256, (3, 16, 16, 3), np.uint8)


def model_with_a_norm(*, slope=0.5, positive=False):
    """A model of a convolution, a norm, a PReLU and a mean over the maps."""
    constants = {
        "w": RNG.normal(size=(64, 3, 3, 3)),
        "b": RNG.normal(size=64),
        "gamma": RNG.uniform(0.5, 2, 64),
        "beta": RNG.normal(size=64),
        "mean": RNG.normal(size=64),
        "variance": RNG.uniform(0.5, 2, 64),
        "slope": RNG.uniform(0, slope, (64, 1, 1)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "variance"], ["n"]),
        helper.make_node("Relu" if positive else "Identity", ["n"], ["r"]),
        helper.make_node("PRelu", ["r", "slope"], ["p"]),
        helper.make_node("GlobalAveragePool", ["p"], ["g"]),
        helper.make_node("Flatten", ["g"], ["y"]),
    ]
    floats = {name: value.astype(np.float32) for name, value in constants.items()}
    net = net_of(nodes, floats, shape=("N", 3, 16, 16), outputs={"y": ("N", 64)}, opset=17)
    return ModelFile("mine", net.SerializeToString(), small_contract(), Provenance("mine"))


def test_the_id_and_the_embeddings_stay(tmp_path):
    model = model_with_a_norm()
    prepared, apart, reason = prepared_model(model, CROPS)
    assert reason == ""
    assert 0 <= apart < 1e-6
    assert {node.op_type for node in onnx.load_from_string(prepared.graph).graph.node} == {
        *("Conv", "Sub", "Relu", "Add", "GlobalAveragePool", "Flatten")
    }
    assert prepared.id == model.id != prepared.content
    others = RNG.integers(0, 256, (9, 16, 16, 3), np.uint8)
    expected, found = (Embedder(one).embed(others) for one in (model, prepared))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3  # they say something

    prepared.with_thresholds(small_model().thresholds).save(tmp_path / "mine.onnx")
    read = load_model_file(tmp_path / "mine.onnx", "mine")
    assert (read.id, read.graph) == (model.id, prepared.graph)
    assert read.thresholds


def test_another_graph_or_contract_has_its_own_id():
    prepared = prepared_model(model_with_a_norm(), CROPS).model
    for other in (
        replace(prepared, graph=small_model().graph),
        replace(prepared, contract=replace(prepared.contract, flip_average=False)),
    ):
        assert other.id == other.content != prepared.id
        assert parse_model_file(other.to_bytes(), "other").id == other.id


@pytest.mark.parametrize(
    "record",
    [
        PreparedFrom("0123456789abcde", "0123456789abcdef"),
        PreparedFrom("0123456789abcdef", "no hash at all!!"),
        PreparedFrom("0123456789abcdef", 3),  # type: ignore[arg-type]
    ],
)
def test_a_record_that_is_none_is_refused(record):
    data = replace(model_with_a_norm(), prepared_from=record).to_bytes()
    with pytest.raises(ModelError, match="prepared"):
        parse_model_file(data, "mine")


def test_a_net_whose_rounding_shows_stays_as_it_is():
    """slope x + (1 - slope) relu(x) with large slopes: a small difference of large numbers."""
    model = model_with_a_norm(slope=1e5, positive=True)
    prepared, apart, reason = prepared_model(model, CROPS)
    assert prepared is model
    assert apart is None
    assert "would differ by" in reason


def test_a_net_that_only_the_engine_can_read_stays_as_it_is():
    model = small_model()
    prepared = prepared_model(replace(model, graph=b"no graph"), CROPS)
    assert prepared.model.graph == b"no graph"
    assert prepared.reason
    assert prepared_model(model, CROPS) == (model, None, "")  # nothing to do


def test_outputs_that_nobody_reads_are_not_computed():
    """A classifier of a hundred classes beside the embedding."""
    net = onnx.load_from_string(small_net(logits="last"))
    model = ModelFile("mine", net.SerializeToString(), small_contract(), Provenance("mine"))
    prepared = prepared_model(model, CROPS).model
    graph = onnx.load_from_string(prepared.graph).graph
    assert [output.name for output in graph.output] == ["embeddings"]
    assert "centres" not in {item.name for item in graph.initializer}
    np.testing.assert_array_equal(Embedder(prepared).embed(CROPS), Embedder(model).embed(CROPS))
    assert prepared.id == model.id


def test_a_batch_that_is_fixed_stays_so():
    net = onnx.load_from_string(model_with_a_norm().graph)
    for item in (net.graph.input[0], net.graph.output[0]):
        item.type.tensor_type.shape.dim[0].dim_value = 2
    model = ModelFile("two", net.SerializeToString(), small_contract(), Provenance("two"))
    prepared = prepared_model(model, CROPS)
    assert prepared.reason == ""
    assert Embedder(prepared.model).embed(CROPS).shape == (3, 64)
    assert isinstance(prepared.model.contract, Contract)
