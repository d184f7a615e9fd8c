"""Folding of norms, with the engine, which computes them as they stand, as the oracle."""

import numpy as np
import pytest
from onnx import helper
from small_nets import assert_same_results, net_of, operators

from faceverify.models.prepare.prepare import prepare

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 6, 8, 8))
VECTOR = RNG.normal(size=(3, 6))


def norm(channels, source, target, **options):
    """A norm as training leaves it: node and constants."""
    names = [f"{target}.{part}" for part in ("gamma", "beta", "mean", "variance")]
    values = RNG.normal(size=(4, channels)).astype(np.float32)
    values[3] = RNG.uniform(0.3, 2, channels)
    node = helper.make_node("BatchNormalization", [source, *names], [target], **options)
    return node, dict(zip(names, values, strict=True))


def weights(*shape):
    return RNG.normal(size=shape).astype(np.float32)


LAYERS = {
    "conv": (("Conv", {"pads": [1] * 4, "strides": [2, 2]}), (4, 6, 3, 3), 4, True),
    "conv without bias": (("Conv", {}), (4, 6, 3, 3), 4, False),
    "grouped": (("Conv", {"group": 3}), (9, 2, 3, 3), 9, True),
    "depthwise": (("Conv", {"group": 6}), (6, 1, 3, 3), 6, False),
    "transposed": (("ConvTranspose", {"strides": [2, 2]}), (6, 4, 2, 2), 4, True),
    "transposed, grouped": (("ConvTranspose", {"group": 2}), (6, 5, 2, 2), 10, True),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_norm_goes_into_the_layer_before_it(layer):
    (operator, options), shape, channels, has_bias = LAYERS[layer]
    node, constants = norm(channels, "c", "y", epsilon=1e-3)
    constants |= {"w": weights(*shape)} | ({"b": weights(channels)} if has_bias else {})
    inputs = ["x", "w", "b"] if has_bias else ["x", "w"]
    net = net_of([helper.make_node(operator, inputs, ["c"], **options), node], constants)
    prepared = prepare(net)
    assert operators(prepared) == [operator]
    assert_same_results(net, prepared, X)


@pytest.mark.parametrize("transposes", [0, 1])
@pytest.mark.parametrize("bias", [(5,), (1, 5), (1,), (), None])
def test_a_norm_goes_into_a_dense_layer(transposes, bias):
    node, constants = norm(5, "c", "y")
    constants |= {"w": weights(*((5, 6) if transposes else (6, 5)))}
    constants |= {"b": weights(*bias)} if bias is not None else {}
    inputs = ["x", "w", "b"] if bias is not None else ["x", "w"]
    dense = helper.make_node("Gemm", inputs, ["c"], transB=transposes, alpha=0.5, beta=2.0)
    net = net_of([dense, node], constants, shape=("N", 6))
    prepared = prepare(net)
    assert operators(prepared) == ["Gemm"]
    assert_same_results(net, prepared, VECTOR)


@pytest.mark.parametrize("bias", [(3, 1), (3, 3), (5, 5)])
def test_a_bias_of_rows_is_no_bias_of_channels(bias):
    channels = bias[0]
    node, constants = norm(channels, "c", "y")
    constants |= {"w": weights(6, channels), "b": weights(*bias)}
    dense = helper.make_node("Gemm", ["x", "w", "b"], ["c"])
    net = net_of([dense, node], constants, shape=(bias[0], 6))
    assert prepare(net) is net


def test_a_norm_that_divides_by_nothing_is_left_alone():
    node, constants = norm(4, "c", "y", epsilon=0.0)
    constants |= {"w": weights(4, 6, 1, 1), "y.variance": np.zeros(4, np.float32)}
    net = net_of([helper.make_node("Conv", ["x", "w"], ["c"]), node], constants)
    assert prepare(net) is net


@pytest.mark.parametrize("shape", [(3, 6), (3, 5, 6)])
def test_a_norm_goes_into_a_product_of_matrices_of_vectors_alone(shape):
    node, constants = norm(5, "c", "y")
    product = helper.make_node("MatMul", ["x", "w"], ["c"])
    net = net_of([product, node], constants | {"w": weights(6, 5)}, shape=shape)
    prepared = prepare(net)  # in three axes, the norm's channels are not the columns of w
    assert operators(prepared) == (
        ["Gemm"] if len(shape) == 2 else ["MatMul", "BatchNormalization"]
    )
    assert_same_results(net, prepared, RNG.normal(size=shape))


def test_norms_that_stand_alone_become_convolutions_of_each_channel():
    first, constants = norm(6, "x", "n")
    second, more = norm(6, "m", "y")
    nodes = [first, helper.make_node("MaxPool", ["n"], ["m"], kernel_shape=[2, 2]), second]
    net = net_of(nodes, constants | more)
    prepared = prepare(net)
    assert operators(prepared) == ["Conv", "MaxPool", "Conv"]
    assert_same_results(net, prepared, X)


def test_norms_behind_each_other_become_one():
    first, constants = norm(6, "x", "n")
    second, more = norm(6, "n", "y")
    net = net_of([first, second], constants | more)
    assert operators(prepare(net)) == ["Conv"]
    assert_same_results(net, prepare(net), X)


def test_a_norm_of_vectors_that_stands_alone_stays():
    node, constants = norm(6, "x", "y")
    net = net_of([node], constants, shape=("N", 6))
    assert prepare(net) is net


def test_a_layer_that_others_read_stays_as_it_is():
    node, constants = norm(4, "c", "n")
    conv = helper.make_node("Conv", ["x", "w"], ["c"])
    add = helper.make_node("Add", ["n", "c"], ["y"])
    net = net_of([conv, node, add], constants | {"w": weights(4, 6, 1, 1)})
    prepared = prepare(net)
    assert operators(prepared) == ["Conv", "Conv", "Add"]
    assert_same_results(net, prepared, X)


def test_a_layer_that_is_an_output_stays_as_it_is():
    node, constants = norm(4, "c", "y")
    conv = helper.make_node("Conv", ["x", "w"], ["c"])
    outputs = {"y": None, "c": None}
    net = net_of([conv, node], constants | {"w": weights(4, 6, 1, 1)}, outputs=outputs)
    assert_same_results(net, prepare(net), X)


def test_weights_that_two_layers_share_are_folded_for_one():
    node, constants = norm(6, "a", "n")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        node,
        helper.make_node("Conv", ["n", "w"], ["y"]),
    ]
    net = net_of(nodes, constants | {"w": weights(6, 6, 1, 1)})
    prepared = prepare(net)
    assert operators(prepared) == ["Conv", "Conv"]
    assert_same_results(net, prepared, X)


def test_weights_that_are_computed_are_left_alone():
    node, constants = norm(6, "c", "y")
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], keepdims=1),
        helper.make_node("Mul", ["w", "m"], ["scaled"]),
        helper.make_node("Conv", ["x", "scaled"], ["c"]),
        node,
    ]
    net = net_of(nodes, constants | {"w": weights(6, 6, 1, 1)})
    prepared = prepare(net)
    assert operators(prepared) == ["ReduceMean", "Mul", "Conv", "Conv"]
    assert_same_results(net, prepared, X)
