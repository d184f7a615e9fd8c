"""PReLU in operations that the engine runs fast: https://arxiv.org/abs/1502.01852, eq. 1.

ONNX Runtime's own is not vectorised on CPUs, and makes it leave its blocked layout around each one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper

from faceverify.models.prepare.constants import constant
from faceverify.models.prepare.graph import Array, Graph, attributes

ONE = "faceverify.one"


def rewrite_prelu(graph: Graph) -> None:
    """Rewrite each PReLU of maps that has a slope a channel; others are left alone.

    slope x + (1 - slope) relu(x), the factors as 1 x 1 convolutions of each channel. The slope
    stays a constant under its name, as (C, 1, 1, 1).

    Args:
        graph: changed in place.
    """
    uses, makers = graph.uses(), graph.makers()
    kept: list[onnx.NodeProto] = []
    for node in graph.nodes:
        name, slope = slope_of(node, graph, makers)
        if slope is None or graph.ranks.get(node.input[0]) != 4 or not is_channelwise(slope):
            kept.append(node)
            continue
        slope = slope.reshape(-1, 1, 1, 1)
        if uses[node.input[1]] > 1 or uses[name] > 1:  # others read it in its own shape
            name = graph.add_constant(f"{node.output[0]}.slope", slope)
        graph.constants[name] = slope
        graph.constants.setdefault(ONE, np.ones((), np.float32))
        kept += channelwise(node.input[0], name, node.output[0], len(slope))
    graph.nodes = kept


def rewrite_scalar_prelu(graph: Graph) -> None:
    """Rewrite each PReLU with one slope in all as a LeakyRelu, which is fused into convolutions.

    Args:
        graph: changed in place.
    """
    kept: list[onnx.NodeProto] = []
    for node in graph.nodes:
        _, slope = slope_of(node, graph, {})
        if slope is None or slope.size != 1:
            kept.append(node)
        else:
            alpha = float(slope.reshape(()))
            kept.append(helper.make_node("LeakyRelu", node.input[:1], node.output, alpha=alpha))
    graph.nodes = kept


def slope_of(
    node: onnx.NodeProto, graph: Graph, makers: dict[str, onnx.NodeProto]
) -> tuple[str, Array | None]:
    """Name and value of a PReLU's slope; None for other nodes, and where it is no constant."""
    if node.op_type != "PRelu" or node.domain:
        return "", None
    name = node.input[1]
    source = makers.get(name)
    if source is None or source.op_type != "Unsqueeze":
        return name, graph.constants[name] if graph.is_float(name) else None
    name = source.input[0]  # (C,), made (C, 1, 1)
    axes = axes_of(source, graph, makers)
    if axes is None or not graph.is_float(name):
        return name, None
    return name, np.expand_dims(graph.constants[name], axes)


def axes_of(
    node: onnx.NodeProto, graph: Graph, makers: dict[str, onnx.NodeProto]
) -> tuple[int, ...] | None:
    """Axes that an Unsqueeze inserts, which may be a ``Constant`` node's; None if not known."""
    if len(node.input) < 2:  # an attribute, before opset 13
        return tuple(attributes(node)["axes"])
    name = node.input[1]
    value = graph.constants.get(name)
    if value is None and name in makers and makers[name].op_type == "Constant":
        value = constant(makers[name], graph)
    return None if value is None else tuple(value.tolist())


def is_channelwise(slope: Array) -> bool:
    """Whether a slope is one a channel of maps: (C, 1, 1) or (1, C, 1, 1), for more than one."""
    shape = slope.shape
    return (
        len(shape) in (3, 4) and shape[-2:] == (1, 1) and shape[:-3] in ((), (1,)) and shape[-3] > 1
    )


def channelwise(x: str, slope: str, y: str, channels: int) -> list[onnx.NodeProto]:
    """The nodes that compute a PReLU of maps, from tensor x to tensor y."""
    each: dict[str, Any] = {"group": channels, "kernel_shape": [1, 1]}
    return [
        helper.make_node("Sub", [ONE, slope], [f"{y}.rest"]),
        helper.make_node("Relu", [x], [f"{y}.positive"]),
        helper.make_node("Conv", [f"{y}.positive", f"{y}.rest"], [f"{y}.more"], **each),
        helper.make_node("Conv", [x, slope], [f"{y}.all"], **each),
        helper.make_node("Add", [f"{y}.all", f"{y}.more"], [y]),
    ]
