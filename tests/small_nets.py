"""Real ONNX files of a few kilobytes, and model files made of them."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from faceverify.faces.alignment import REFERENCE_POINTS, FivePoints
from faceverify.models.contract import Contract
from faceverify.models.model_file import ModelFile, Provenance, Threshold, split_metadata


def small_net(
    side: int | str = 16,
    size: int = 64,
    *,
    before: list[tuple[str, float]] | tuple = (),
    batch: int | str = "N",
    channels: int = 3,
    dtype: int = TensorProto.FLOAT,
    second_output: bool = False,
    mixes_the_batch: bool = False,
    nan: bool = False,
    seed: int = 0,
) -> bytes:
    """A net of one convolution, a pool and a dense layer.

    Args:
        before: operators and constants that the input goes through first.
    """
    rng = np.random.default_rng(seed)
    constants, nodes, x = [], [], "crops"

    def constant(name, value):
        constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    for index, (operator, value) in enumerate(before):
        inputs = [x] if operator == "Identity" else [x, constant(f"c{index}", value)]
        x = f"b{index}"
        nodes.append(helper.make_node(operator, inputs, [x]))
    kernel = constant("kernel", rng.normal(size=(8, channels, 3, 3)))
    nodes.append(helper.make_node("Conv", [x, kernel], ["y"]))
    nodes.append(helper.make_node("Relu", ["y"], ["z"]))
    nodes.append(helper.make_node("GlobalAveragePool", ["z"], ["p"]))
    nodes.append(helper.make_node("Flatten", ["p"], ["f"]))
    x = "f"
    if mixes_the_batch:
        axes = numpy_helper.from_array(np.array([0], np.int64), "axes")
        constants.append(axes)
        nodes.append(helper.make_node("ReduceMean", [x, "axes"], ["m"], keepdims=1))
        nodes.append(helper.make_node("Sub", [x, "m"], ["fm"]))
        x = "fm"
    weight = rng.normal(size=(8, size)) * (np.nan if nan else 1)
    nodes.append(helper.make_node("MatMul", [x, constant("weight", weight)], ["embeddings"]))
    outputs = [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, [batch, size])]
    if second_output:
        nodes.append(helper.make_node("ReduceL2", ["embeddings"], ["norm"], keepdims=1))
        outputs.append(helper.make_tensor_value_info("norm", TensorProto.FLOAT, None))
    crops = helper.make_tensor_value_info("crops", dtype, [batch, channels, side, side])
    graph = helper.make_graph(nodes, "small", [crops], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString(deterministic=True))


def small_contract(side: int = 16, size: int = 64) -> Contract:
    return Contract(
        width=side,
        height=side,
        colour_order="RGB",
        mean=(127.5, 127.5, 127.5),
        scale=(128.0, 128.0, 128.0),
        alignment=FivePoints(REFERENCE_POINTS["arcface-112"].points),
        embedding_size=size,
        flip_average=True,
    )


THRESHOLD = Threshold(
    fmr=1e-3,
    distance=0.3,
    fnmr=0.02,
    impostors=100_000,
    genuine=1_000,
    interval=(8e-4, 1.2e-3),
    dataset="made up",
)


def small_model(name: str = "small", **options) -> ModelFile:
    graph, _ = split_metadata(small_net(**options), name)
    provenance = Provenance(name=name, licence="CC0-1.0", source="tests: \u5c0f \u00e9 \U0001f600")
    return ModelFile(name, graph, small_contract(), provenance, (THRESHOLD,))
