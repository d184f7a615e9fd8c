"""Folding of batch normalisation into the layer before it: https://arxiv.org/abs/1502.03167.

At inference it is a factor and a summand for each channel: gamma / sqrt(variance + epsilon), and
beta - mean times that factor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from faceverify.models.prepare.graph import Graph, attributes

Doubles = NDArray[np.float64]


def fold_batch_norm(graph: Graph) -> None:
    """Fold each norm into the Conv, ConvTranspose, Gemm or MatMul that it alone reads.

    One that stands alone, on maps, becomes a 1 x 1 convolution of each channel, which the engine
    keeps in its blocked layout.

    Args:
        graph: changed in place.
    """
    uses, makers = graph.uses(), graph.makers()
    kept: list[onnx.NodeProto] = []
    for node in graph.nodes:
        affine = factor_and_summand(node, graph)
        before = makers.get(node.input[0]) if node.input else None
        alone = before is not None and uses[node.input[0]] == 1
        if affine and before and alone and fold_into(before, affine, graph):
            before.output[0] = node.output[0]
            makers[node.output[0]] = before
            continue
        if affine and graph.ranks.get(node.input[0]) == 4:
            node = channelwise(node, affine, graph)
            makers[node.output[0]] = node
        kept.append(node)
    graph.nodes = kept


def factor_and_summand(node: onnx.NodeProto, graph: Graph) -> tuple[Doubles, Doubles] | None:
    """What a norm multiplies each channel by and what it adds, (C,) each; None if not known."""
    if node.op_type != "BatchNormalization" or node.domain:
        return None
    options: dict[str, Any] = {"epsilon": 1e-5, "spatial": 1, "training_mode": 0}
    options |= attributes(node)
    inference = options["spatial"] and not options["training_mode"] and not any(node.output[1:])
    if not inference or not all(map(graph.is_float, node.input[1:5])):
        return None
    gamma, beta, mean, variance = (
        graph.constants[name].astype(np.float64) for name in node.input[1:5]
    )
    variance = variance + options["epsilon"]
    if (variance <= 0).any():
        return None
    factor = gamma / np.sqrt(variance)
    return factor, beta - mean * factor


def fold_into(node: onnx.NodeProto, affine: tuple[Doubles, Doubles], graph: Graph) -> bool:
    """Fold a factor and a summand of each channel into a layer; False where that is not exact."""
    product = node.op_type == "MatMul" and graph.ranks.get(node.input[0]) == 2
    operator = "Gemm" if product else node.op_type
    if node.domain or len(node.output) != 1 or operator not in CHANNEL_SCALES:
        return False
    if not all(map(graph.is_float, node.input[1:])):
        return False
    factor, summand = affine
    options = attributes(node)
    weight, *bias = (graph.constants[name].astype(np.float64) for name in node.input[1:])
    scales = CHANNEL_SCALES[operator](weight, factor, options)
    if scales is None:
        return False
    old = options.get("beta", 1.0) * bias[0] if bias else np.zeros(1)
    if old.size != 1 and old.shape not in ((len(factor),), (1, len(factor))):  # one for each row
        return False
    name = node.output[0]
    with np.errstate(over="ignore"):  # what overflows is seen when the two nets are compared
        scaled = (weight * scales).astype(np.float32)
        shifted = (old.reshape(-1) * factor + summand).astype(np.float32)
    names = [f"{name}.folded_weight", f"{name}.folded_bias"]
    names = [graph.add_constant(*pair) for pair in zip(names, (scaled, shifted), strict=True)]
    source = node.input[0]
    node.op_type = operator
    del node.input[:]
    node.input.extend([source, *names])
    for attribute in node.attribute:
        if attribute.name == "beta":
            attribute.f = 1.0
    return True


def conv_scales(weight: Doubles, factor: Doubles, _options: dict[str, Any]) -> Doubles | None:
    """Factors of a Conv's weights, (out, in, kernel...)."""
    if len(weight) != len(factor):
        return None
    return factor.reshape(-1, *[1] * (weight.ndim - 1))


def transposed_scales(weight: Doubles, factor: Doubles, options: dict[str, Any]) -> Doubles | None:
    """Factors of a ConvTranspose's weights, (in, out / groups, kernel...)."""
    groups = options.get("group", 1)
    inputs, outputs = weight.shape[:2]
    if outputs * groups != len(factor):
        return None
    rows = np.repeat(factor.reshape(groups, outputs), inputs // groups, axis=0)
    return rows.reshape(inputs, outputs, *[1] * (weight.ndim - 2))


def gemm_scales(weight: Doubles, factor: Doubles, options: dict[str, Any]) -> Doubles | None:
    """Factors of a Gemm's weights, (in, out), or (out, in) where it transposes them."""
    transposes = options.get("transB", 0)
    if weight.shape[0 if transposes else 1] != len(factor):
        return None
    return factor[:, None] if transposes else factor[None, :]


CHANNEL_SCALES = {"Conv": conv_scales, "ConvTranspose": transposed_scales, "Gemm": gemm_scales}


def channelwise(
    node: onnx.NodeProto, affine: tuple[Doubles, Doubles], graph: Graph
) -> onnx.NodeProto:
    """A norm on its own as a 1 x 1 convolution of each channel."""
    factor, summand = (values.astype(np.float32) for values in affine)
    x, y = node.input[0], node.output[0]
    weight = graph.add_constant(f"{y}.factor", factor.reshape(-1, 1, 1, 1))
    bias = graph.add_constant(f"{y}.summand", summand)
    return helper.make_node("Conv", [x, weight, bias], [y], group=len(factor), kernel_shape=[1, 1])
