"""Outputs between the nodes of a graph."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from small_nets import small_model, small_net

from faceverify.errors import ModelError
from faceverify.models.embedder import Embedder
from faceverify.models.layer_outputs import LayeredModel, layers_of
from faceverify.models.registry import load_model


def crops(model, count=5):
    contract = model.contract
    shape = (count, contract.height, contract.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.thorough(but=("dlib-resnet29",))
@pytest.mark.parametrize("name", ["sface", "dlib-resnet29"])
def test_the_bundled_models(name):
    model = load_model(name)
    layered = LayeredModel(model)
    assert len(layered.layers) == 12
    assert {layer.kind for layer in layered.layers[:-1]} == {"Add"}
    assert len({layer.output for layer in layered.layers}) == 12
    found = layered.features(crops(model))
    assert all(len(one) == 5 and np.isfinite(one).all() for one in found)
    embeddings = Embedder(model).run(model.contract.planes(crops(model)))
    np.testing.assert_allclose(found[-1], embeddings, rtol=0, atol=1e-4)
    alone = layered.features(crops(model)[2:3])
    for one, other in zip(found, alone, strict=True):
        np.testing.assert_allclose(one[2:3], other, rtol=0, atol=1e-3)


def chain(kinds):
    """A graph of these nodes, one after the other; an Add takes the last two results."""
    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    nodes, made = [], ["x"]
    for place, kind in enumerate(kinds):
        inputs = {"Add": made[-2:], "Bias": [made[-1], "w"], "MatMul": [made[-1], "w"]}
        name = f"{kind}{place}"
        nodes.append(
            helper.make_node("Add" if kind == "Bias" else kind, inputs.get(kind, made[-1:]), [name])
        )
        made.append(name)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", made[-1])
    ]
    return helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], [weight]))


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["MatMul", "Add", "Add", "Add", "Relu"], ["Add1", "Add2", "Add3", "Relu4"]),
        (["MatMul", "Bias", "Relu"] * 4, ["Relu2", "Relu5", "Relu8", "Relu11"]),
        (["MatMul", "Bias"] * 4, ["MatMul0", "MatMul2", "MatMul4", "MatMul6", "Bias7"]),
        (["Relu"], ["Relu0"]),
    ],
)
def test_sums_of_branches_or_activations_or_products(kinds, expected):
    assert [layer.output for layer in layers_of(chain(kinds))] == expected


def test_as_many_as_asked_for_evenly_spaced():
    found = [layer.output for layer in layers_of(chain(["MatMul"] * 31), most=4)]
    assert found == ["MatMul0", "MatMul14", "MatMul29", "MatMul30"]


@pytest.mark.parametrize("batch", ["N", 1, 3])
def test_nets_of_any_batch(batch):
    model = small_model(batch=batch)
    found = LayeredModel(model).features(crops(model, 7))
    assert [len(one) for one in found] == [7] * len(found)
    embeddings = Embedder(model).run(model.contract.planes(crops(model, 7)))
    assert found[-1] == pytest.approx(embeddings, abs=1e-5)


def test_a_layer_without_a_row_for_each_crop():
    graph = onnx.load_from_string(small_net(mixes_the_batch=True))
    graph.graph.output.insert(0, helper.make_tensor_value_info("m", TensorProto.FLOAT, None))
    model = replace(small_model(), graph=graph.SerializeToString())
    with pytest.raises(ModelError, match="expected a row for each"):
        LayeredModel(model).features(crops(model, 7))


def test_no_graph():
    model = replace(small_model(), graph=b"no onnx")
    with pytest.raises(ModelError, match="its layers cannot be shown"):
        LayeredModel(model)
