"""Nodes that pass their input on."""

import numpy as np
from onnx import helper
from small_nets import assert_same_results, net_of, operators

from faceverify.models.prepare.prepare import prepare

X = np.random.default_rng(0).normal(size=(3, 6, 8, 8))


def test_they_go():
    nodes = [
        helper.make_node("Dropout", ["x"], ["d"]),
        helper.make_node("Identity", ["d"], ["i"]),
        helper.make_node("Dropout", ["i", "", "train"], ["e"]),
        helper.make_node("Relu", ["e"], ["r"]),
        helper.make_node("Add", ["r", "i"], ["y"]),
    ]
    net = net_of(nodes, {"train": np.array(False)})
    prepared = prepare(net)
    assert operators(prepared) == ["Relu", "Add"]
    assert_same_results(net, prepared, X)


def test_one_that_names_an_output_stays():
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Identity", ["r"], ["i"]),
        helper.make_node("Identity", ["i"], ["y"]),
    ]
    prepared = prepare(net_of(nodes, {}))
    assert operators(prepared) == ["Relu", "Identity"]
    assert_same_results(net_of(nodes, {}), prepared, X)


def test_a_dropout_that_trains_or_whose_mask_is_read_stays():
    trains = helper.make_node("Dropout", ["x", "", "train"], ["y"])
    assert "Dropout" in operators(prepare(net_of([trains], {"train": np.array(True)})))
    nodes = [
        helper.make_node("Dropout", ["x"], ["d", "mask"]),
        helper.make_node("Where", ["mask", "d", "x"], ["y"]),
    ]
    assert operators(prepare(net_of(nodes, {}))) == ["Dropout", "Where"]


def test_an_old_dropout_stays():
    node = helper.make_node("Dropout", ["x"], ["d"])
    relu = helper.make_node("Relu", ["d"], ["y"])
    assert "Dropout" in operators(prepare(net_of([node, relu], {}, opset=6)))
