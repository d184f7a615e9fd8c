"""PReLU rewritten, with the engine's own as the oracle."""

import numpy as np
import pytest
from onnx import helper, numpy_helper
from small_nets import assert_same_results, net_of, operators

from faceverify.models.prepare.prepare import prepare

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 6, 8, 8))
REWRITTEN = ["Sub", "Relu", "Conv", "Conv", "Add"]


def slopes(*shape):
    """Slopes as nets have them: some negative, some above 1."""
    return RNG.uniform(-0.4, 1.2, shape).astype(np.float32)


def prelu(slope, **options):
    return net_of([helper.make_node("PRelu", ["x", "slope"], ["y"])], {"slope": slope}, **options)


@pytest.mark.parametrize("shape", [(6, 1, 1), (1, 6, 1, 1)])
def test_a_slope_a_channel(shape):
    net = prelu(slopes(*shape))
    prepared = prepare(net)
    assert operators(prepared) == REWRITTEN
    assert_same_results(net, prepared, X)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (1, 1, 1), (1, 1, 1, 1)])
def test_one_slope_in_all(shape):
    net = prelu(slopes(*shape))
    prepared = prepare(net)
    assert operators(prepared) == ["LeakyRelu"]
    assert_same_results(net, prepared, X)


@pytest.mark.parametrize(
    ("slope", "x"),
    [
        ((6, 8, 8), (3, 6, 8, 8)),  # a slope each place
        ((8,), (3, 6, 8, 8)),  # a slope a column
        ((6, 1, 8), (3, 6, 8, 8)),
        ((6,), (3, 6)),  # behind a dense layer
        ((6, 1, 1), (3, 2, 6, 8, 8)),  # maps of three dimensions
    ],
)
def test_other_slopes_are_left_alone(slope, x):
    net = prelu(slopes(*slope), shape=x)
    assert prepare(net) is net


def test_a_slope_that_is_no_constant_is_left_alone():
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], keepdims=1),
        helper.make_node("PRelu", ["x", "m"], ["y"]),
    ]
    net = net_of(nodes, {})
    assert prepare(net) is net


def test_slopes_that_are_shared():
    nodes = [
        helper.make_node("PRelu", ["x", "slope"], ["a"]),
        helper.make_node("PRelu", ["a", "slope"], ["b"]),
        helper.make_node("Mul", ["b", "slope"], ["y"]),  # which reads it as (6, 1, 1)
    ]
    net = net_of(nodes, {"slope": slopes(6, 1, 1)})
    prepared = prepare(net)
    assert operators(prepared) == [*REWRITTEN, *REWRITTEN, "Mul"]
    assert_same_results(net, prepared, X)


@pytest.mark.parametrize(("axes", "rewritten"), [([1, 2], True), ([0, 1], False)])
def test_a_slope_that_is_given_its_axes_on_the_way(axes, rewritten):
    size = 6 if rewritten else 8  # at the end: a slope a column
    nodes = [
        helper.make_node("Constant", [], ["axes"], value=numpy_helper.from_array(np.array(axes))),
        helper.make_node("Unsqueeze", ["slope", "axes"], ["wide"]),
        helper.make_node("PRelu", ["x", "wide"], ["y"]),
    ]
    net = net_of(nodes, {"slope": slopes(size)})
    prepared = prepare(net)
    assert operators(prepared) == (REWRITTEN if rewritten else ["PRelu"])
    assert_same_results(net, prepared, X)
