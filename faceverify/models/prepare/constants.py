"""Constant folding: nodes that compute on weights alone, such as the dequantisation of int8 blocks.

The engine does not fold ``DequantizeLinear``: it would run in every call.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from faceverify.models.prepare.graph import Array, Graph, attributes


def constant(node: onnx.NodeProto, _graph: Graph) -> Array | None:
    """``Constant`` of a dense tensor."""
    value = attributes(node).get("value")
    return numpy_helper.to_array(value) if value is not None else None


def dequantised(node: onnx.NodeProto, graph: Graph) -> Array | None:
    """``DequantizeLinear``: (x - zero point) scale; a scale for all, an axis, or blocks of it."""
    options: dict[str, Any] = {"axis": 1, "block_size": 0, **attributes(node)}
    values = [graph.constants[name] for name in node.input if name]
    x, scale = values[0], values[1]
    zero = values[2] if len(values) > 2 else np.zeros(scale.shape, x.dtype)
    if scale.dtype != np.float32 or x.dtype not in (np.int8, np.uint8, np.int32):
        return None
    axis, block = options["axis"] % max(x.ndim, 1), options["block_size"]
    scale, zero = (spread(one, x.shape, axis, block) for one in (scale, zero))
    return ((x.astype(np.int32) - zero.astype(np.int32)).astype(np.float32) * scale).astype(
        np.float32
    )


def spread(values: Array, shape: tuple[int, ...], axis: int, block: int) -> Array:
    """Scales or zero points, so that they broadcast over a tensor of a shape."""
    if block:
        return np.repeat(values, block, axis=axis).take(range(shape[axis]), axis=axis)
    if values.size == 1:
        return values.reshape(())
    return values.reshape([-1 if number == axis else 1 for number in range(len(shape))])


def reshaped(node: onnx.NodeProto, graph: Graph) -> Array | None:
    """``Reshape`` to a constant shape, from opset 5 on."""
    if len(node.input) != 2 or attributes(node).get("allowzero"):
        return None
    x, shape = (graph.constants[name] for name in node.input)
    sizes = [
        x.shape[number] if size == 0 else int(size) for number, size in enumerate(shape.tolist())
    ]
    return x.reshape(sizes)


def unsqueezed(node: onnx.NodeProto, graph: Graph) -> Array:
    """``Unsqueeze``: axes as an attribute, from opset 13 on as an input."""
    x, *rest = (graph.constants[name] for name in node.input)
    axes = rest[0].tolist() if rest else attributes(node)["axes"]
    return np.expand_dims(x, tuple(axes))


def transposed(node: onnx.NodeProto, graph: Graph) -> Array:
    """``Transpose``."""
    return np.transpose(graph.constants[node.input[0]], attributes(node).get("perm"))


def cast(node: onnx.NodeProto, graph: Graph) -> Array | None:
    """``Cast`` of float16 or float64 to float32."""
    x, to = graph.constants[node.input[0]], attributes(node)["to"]
    wanted = np.dtype(helper.tensor_dtype_to_np_dtype(to))
    return x.astype(wanted) if x.dtype.kind == "f" and wanted == np.float32 else None


def same(node: onnx.NodeProto, graph: Graph) -> Array:
    """``Identity``."""
    return graph.constants[node.input[0]]


FOLDED: dict[str, Callable[[onnx.NodeProto, Graph], Array | None]] = {
    "Cast": cast,
    "Constant": constant,
    "DequantizeLinear": dequantised,
    "Identity": same,
    "Reshape": reshaped,
    "Transpose": transposed,
    "Unsqueeze": unsqueezed,
}
EVERY = frozenset(FOLDED)


def fold_constants(graph: Graph, operators: Container[str] = EVERY) -> None:
    """Compute what depends on no input, once.

    A net that quantises its activations keeps its ``DequantizeLinear``: the engine fuses the pair
    into integer arithmetic.

    Args:
        graph: changed in place.
        operators: of the nodes to compute.
    """
    integer = any(node.op_type == "QuantizeLinear" for node in graph.nodes)
    kept = []
    for node in graph.nodes:
        fold = FOLDED.get(node.op_type) if node.op_type in operators and not node.domain else None
        known = all(name in graph.constants for name in node.input if name)
        if integer and node.op_type == "DequantizeLinear":
            known = False
        value = fold(node, graph) if fold and known else None
        if value is None:
            kept.append(node)
        else:
            graph.constants[node.output[0]] = value
    graph.nodes = kept
