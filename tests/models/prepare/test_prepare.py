"""Preparation of whole nets: what is gone, and the same embeddings."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from small_nets import assert_same_results, net_of, operators, run_net, sface_like

from faceverify.models.prepare.graph import without_unread_inputs
from faceverify.models.prepare.prepare import prepare

X = np.random.default_rng(1).normal(size=(2, 3, 32, 32))


def test_a_net_as_opencv_quantises_them():
    net = without_unread_inputs(sface_like())
    prepared = prepare(net)
    assert {*operators(prepared)} == {"Mul", "Sub", "Relu", "Conv", "Add", "Flatten", "Gemm"}
    assert operators(prepared).count("Conv") == 3 + 2 * 3
    assert [item.name for item in prepared.graph.input] == ["x"]
    assert {item.data_type for item in prepared.graph.initializer} == {TensorProto.FLOAT}
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 3, 32, 32))
    assert_same_results(net, prepared, pixels)
    first, second = run_net(prepared, pixels)[0]
    assert np.abs(first - second).max() > 0.01  # they say something


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("backbone", "size"),
    [
        ("mobilefacenet", 32),
        pytest.param("iresnet18", 32, marks=pytest.mark.slow),
        pytest.param("iresnet50", 112, marks=pytest.mark.slow),
        pytest.param("resnet29", 150, marks=pytest.mark.slow),
    ],
)
def test_nets_as_torch_exports_them(backbone, size):
    torch = pytest.importorskip("torch", reason="needs the train extra")
    from faceverify.models.install.convert import exported
    from faceverify.training.backbones import build_backbone

    torch.manual_seed(0)
    module = build_backbone(backbone, embedding_size=128, size=size).eval()
    for layer in module.modules():  # as training leaves them
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 1.5)
        if isinstance(layer, torch.nn.PReLU):
            torch.nn.init.uniform_(layer.weight, -0.3, 1.1)
    for keep_weights in (False, True):
        data = exported(module, torch.zeros(2, 3, size, size), keep_weights=keep_weights)
        net = onnx.load_from_string(data)
        renamed(net, "crops", "x")
        prepared = prepare(net)
        assert not {"PRelu", "BatchNormalization", "Identity", "Dropout"} & {*operators(prepared)}
        pictures = np.random.default_rng(1).normal(size=(2, 3, size, size))
        assert_same_results(net, prepared, pictures)


def renamed(net, old, new):
    net.graph.input[0].name = new
    for node in net.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = new if name == old else name


def test_weights_are_no_inputs():
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    net = net_of(
        [helper.make_node("Conv", ["x", "w"], ["y"])], {"w": weight}, shape=("N", 3, 32, 32)
    )
    net.ir_version = 3  # in which each initializer had to be an input
    shape = helper.make_tensor_value_info("w", TensorProto.FLOAT, weight.shape)
    net.graph.input.append(shape)
    prepared = prepare(net)
    assert [item.name for item in prepared.graph.input] == ["x"]
    assert prepared.ir_version == 4
    assert_same_results(net, prepared, X)


def test_what_says_more_than_the_graph_stays():
    node = helper.make_node("Identity", ["x"], ["i"])
    net = net_of([node, helper.make_node("Relu", ["i"], ["y"])], {}, shape=("N", 3, 32, 32))
    net.producer_name, net.doc_string, net.model_version = "someone", "said", 7
    net.metadata_props.add(key="licence", value="MIT")
    net.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    prepared = prepare(net)
    assert operators(prepared) == ["Relu"]
    for field in ("producer_name", "doc_string", "model_version", "metadata_props", "opset_import"):
        assert getattr(prepared, field) == getattr(net, field)


def test_nets_with_branches_and_functions_stay_as_they_are():
    relu = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["r"])],
        "branch",
        [],
        [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)],
    )
    both = {"then_branch": relu, "else_branch": relu}
    nodes = [
        helper.make_node("If", ["c"], ["i"], **both),
        helper.make_node("Dropout", ["i"], ["d"]),
        helper.make_node("Relu", ["d"], ["y"]),
    ]
    net = net_of(nodes, {"c": np.array(True)}, shape=("N", 3, 32, 32))
    assert prepare(net) is net
    plain = net_of([helper.make_node("Identity", ["x"], ["y"])], {})
    plain.functions.append(
        helper.make_function("own", "F", ["a"], ["b"], [], [helper.make_opsetid("", 21)])
    )
    assert prepare(plain) is plain


def test_operators_of_others_are_not_mistaken():
    nodes = [
        helper.make_node("Identity", ["x"], ["i"], domain="somebody"),
        helper.make_node("PRelu", ["i", "slope"], ["y"], domain="somebody"),
    ]
    net = net_of(nodes, {"slope": np.ones((3, 1, 1), np.float32)}, shape=("N", 3, 32, 32))
    net.opset_import.append(helper.make_opsetid("somebody", 1))
    assert prepare(net) is net
