"""Removal of nodes that pass their input on: ``Identity``, and ``Dropout`` at inference."""

from __future__ import annotations

import onnx

from faceverify.models.prepare.graph import Graph

INFERENCE = 7  # the opset from which on Dropout does nothing unless it is told to train


def drop_idle(graph: Graph) -> None:
    """Let the readers of an idle node read its input.

    A node that makes an output of the graph stays, for the output's name.

    Args:
        graph: changed in place.
    """
    uses, kept = graph.uses(), []
    passed: dict[str, str] = {}  # output of an idle node -> what it passes on
    for node in graph.nodes:
        for index, name in enumerate(node.input):
            node.input[index] = passed.get(name, name)
        if is_idle(node, graph, uses) and node.output[0] not in graph.outputs:
            passed[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    graph.nodes = kept


def is_idle(node: onnx.NodeProto, graph: Graph, uses: dict[str, int]) -> bool:
    """Whether a node's only output that is read is its input."""
    if node.domain or any(uses.get(name) for name in node.output[1:]):
        return False
    if node.op_type == "Dropout" and graph.opset >= INFERENCE:
        trains = node.input[2] if len(node.input) > 2 else ""
        value = graph.constants.get(trains)
        return not trains or (value is not None and not value.any())
    return node.op_type == "Identity"
