"""Constant folding: what is computed on weights alone, with the engine as the oracle."""

import numpy as np
import pytest
from onnx import helper
from small_nets import assert_same_results, net_of, operators

from faceverify.models.prepare.prepare import prepare

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 6, 8, 8))


def quantised(shape, scales, dtype=np.int8, **options):
    """A 1 x 1 convolution whose weights are dequantised, in the shape that scales ask for."""
    info = np.iinfo(dtype)
    values = RNG.integers(max(info.min, -999), min(info.max, 999), shape).astype(dtype)
    zero = RNG.integers(max(info.min, -9), 9, scales).astype(dtype)
    constants = {
        "q": values,
        "s": RNG.uniform(0.01, 0.1, scales).astype(np.float32),
        "z": np.zeros(scales, dtype) if dtype == np.int32 else zero,
        "to": np.array([4, 6, 1, 1]),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], **options),
        helper.make_node("Reshape", ["d", "to"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["y"]),
    ]
    return nodes, constants


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(
    ("shape", "scales", "options"),
    [
        ((4, 6), (4, 2), {"axis": 1, "block_size": 3}),
        ((4, 6), (4, 2), {"axis": -1, "block_size": 3}),
        ((4, 6), (2, 6), {"axis": 0, "block_size": 2}),
        ((4, 6), (4, 1), {"axis": 1, "block_size": 6}),
        ((4, 6), (4, 2), {"axis": 1, "block_size": 4}),  # the last block is shorter
        ((4, 6), (4,), {"axis": 0}),
        ((4, 6), (6,), {}),
        ((4, 6, 1, 1), (4,), {"axis": 0}),
        ((4, 6), (), {}),
    ],
)
def test_int8_weights_become_floats(shape, scales, options, dtype):
    net = net_of(*quantised(shape, scales, dtype, **options))
    prepared = prepare(net)
    assert operators(prepared) == ["Conv"]
    assert_same_results(net, prepared, X)


def test_int32_and_no_zero_point():
    nodes, constants = quantised((4, 6), (4,), np.int32, axis=0)
    nodes[0] = helper.make_node("DequantizeLinear", ["q", "s"], ["d"], axis=0)
    net = net_of(nodes, constants)
    prepared = prepare(net)
    assert operators(prepared) == ["Conv"]
    assert {item.name for item in prepared.graph.initializer} == {"w"}  # what is unused is gone
    assert_same_results(net, prepared, X)


def test_a_net_of_integer_arithmetic_is_left_to_the_engine():
    nodes, constants = quantised((4, 6), (4,), axis=0)
    constants |= {"xs": np.float32(0.02), "xz": np.int8(3)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
        *nodes[:2],
        helper.make_node("Conv", ["xd", "w"], ["y"]),
    ]
    assert operators(prepare(net_of(nodes, constants))).count("DequantizeLinear") == 2


def test_other_nodes_on_constants():
    constants = {"c": RNG.normal(size=(6, 4)).astype(np.float16), "axes": np.array([2, 3])}
    nodes = [
        helper.make_node("Cast", ["c"], ["f"], to=1),
        helper.make_node("Transpose", ["f"], ["t"]),
        helper.make_node("Identity", ["t"], ["i"]),
        helper.make_node("Unsqueeze", ["i", "axes"], ["w"]),
        helper.make_node("Constant", [], ["k"], value_float=1.5),
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Mul", ["a", "k"], ["y"]),
    ]
    net = net_of(nodes, constants)
    prepared = prepare(net)
    assert operators(prepared) == ["Constant", "Conv", "Mul"]  # only dense constants are read
    assert_same_results(net, prepared, X)


def test_a_constant_that_is_an_output():
    nodes = [
        helper.make_node("Identity", ["c"], ["version"]),
        helper.make_node("Relu", ["x"], ["y"]),
    ]
    net = net_of(nodes, {"c": np.float32([1, 2])}, outputs={"y": None, "version": (2,)})
    assert_same_results(net, prepare(net), X)


def test_scalars_stay_scalars():
    nodes = [
        helper.make_node("Gather", ["x", "at"], ["g"], axis=1),  # of rank 3: `at` has no axis
        helper.make_node("Identity", ["g"], ["i"]),
        helper.make_node("Relu", ["i"], ["y"]),
    ]
    net = net_of(nodes, {"at": np.array(2)})
    prepared = prepare(net)
    assert operators(prepared) == ["Gather", "Relu"]
    assert_same_results(net, prepared, X)
