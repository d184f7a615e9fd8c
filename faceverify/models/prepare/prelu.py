"""PReLU in operations that the engine runs fast: https://arxiv.org/abs/1502.01852, eq. 1.

ONNX Runtime's own is not vectorised on CPUs, and makes it leave its blocked layout around each one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper

from faceverify.models.prepare.graph import Graph

ONE = "faceverify.one"


def rewrite_prelu(graph: Graph) -> None:
    """Rewrite each PReLU of maps with a slope a channel, or of anything with one slope in all.

    slope x + (1 - slope) relu(x), the factors as 1 x 1 convolutions of each channel. The slope
    stays a constant under its name, as (C, 1, 1, 1). Changed in place; others are left alone.
    """
    kept: list[onnx.NodeProto] = []
    for node in graph.nodes:
        plain = node.op_type == "PRelu" and not node.domain and graph.is_float(node.input[1])
        if not plain:
            kept.append(node)
            continue
        slope = graph.constants[node.input[1]]
        if (slope == slope.flat[0]).all() and is_broadcast(node, graph):
            alpha = float(slope.flat[0])
            kept.append(helper.make_node("LeakyRelu", node.input[:1], node.output, alpha=alpha))
        elif is_channelwise(node, graph):
            kept += channelwise(node, graph)
        else:
            kept.append(node)
    graph.nodes = kept


def is_broadcast(node: onnx.NodeProto, graph: Graph) -> bool:
    """Whether the slope has no more axes than the input: the output has the input's shape."""
    slope = graph.constants[node.input[1]]
    return slope.ndim <= graph.ranks.get(node.input[0], 1)


def is_channelwise(node: onnx.NodeProto, graph: Graph) -> bool:
    """Whether the input is a batch of maps, and each channel of them has a slope."""
    shape = graph.constants[node.input[1]].shape
    per_channel = len(shape) in (3, 4) and shape[-2:] == (1, 1) and shape[:-3] in ((), (1,))
    return per_channel and graph.ranks.get(node.input[0]) == 4


def channelwise(node: onnx.NodeProto, graph: Graph) -> list[onnx.NodeProto]:
    """The nodes that compute a PReLU of maps."""
    (x, slope), (y,) = node.input, node.output
    values = graph.constants[slope].reshape(-1, 1, 1, 1)
    if graph.uses()[slope] > 1:  # shared with another node, which expects it as it is
        slope = graph.add_constant(f"{y}.slope", values)
    graph.constants[slope] = values
    if ONE not in graph.constants:
        graph.constants[ONE] = np.ones((), np.float32)
    options: dict[str, Any] = {"group": len(values), "kernel_shape": [1, 1]}
    return [
        helper.make_node("Sub", [ONE, slope], [f"{y}.rest"]),
        helper.make_node("Relu", [x], [f"{y}.positive"]),
        helper.make_node("Conv", [f"{y}.positive", f"{y}.rest"], [f"{y}.more"], **options),
        helper.make_node("Conv", [x, slope], [f"{y}.all"], **options),
        helper.make_node("Add", [f"{y}.all", f"{y}.more"], [y]),
    ]
