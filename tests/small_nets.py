"""Real ONNX files of a few kilobytes, and model files made of them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from faceverify.faces.alignment import REFERENCE_POINTS, FivePoints
from faceverify.models.contract import Contract
from faceverify.models.model_file import ModelFile, Provenance, Threshold, split_metadata
from faceverify.runtime.onnx_session import open_session


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
    logits: str = "",
    still: bool = False,
    seed: int = 0,
) -> bytes:
    """A net of one convolution, a pool and a dense layer.

    Args:
        before: operators and constants that the input goes through first.
        logits: where a classifier's output stands: "first", "last", or "" for none.
        still: whether it gives every crop the same embedding.
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
    if still:
        nodes.append(helper.make_node("Mul", [x, constant("nothing", np.zeros(8))], ["none"]))
        nodes.append(helper.make_node("Add", ["none", constant("all", np.ones(8))], ["same"]))
        x = "same"
    weight = rng.normal(size=(8, size)) * (np.nan if nan else 1)
    nodes.append(helper.make_node("MatMul", [x, constant("weight", weight)], ["embeddings"]))
    outputs = [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, [batch, size])]
    if second_output:
        nodes.append(helper.make_node("ReduceL2", ["embeddings"], ["norm"], keepdims=1))
        outputs.append(helper.make_tensor_value_info("norm", TensorProto.FLOAT, None))
    if logits:
        centres = constant("centres", rng.normal(size=(size, 100)))
        nodes.append(helper.make_node("MatMul", ["embeddings", centres], ["logits"]))
        stated = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 100])
        outputs.insert(0 if logits == "first" else len(outputs), stated)
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


def net_of(
    nodes: list,
    constants: dict[str, np.ndarray],
    *,
    shape: tuple = ("N", 6, 8, 8),
    outputs: dict[str, tuple | None] | None = None,
    opset: int = 21,
) -> onnx.ModelProto:
    """A model of nodes from ``x`` to ``y``, for the tests of single rewrites.

    Args:
        constants: initializers.
        shape: of x.
        outputs: their names and shapes; y, of any shape, by default.
    """

    def stated(name, sizes):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)

    graph = helper.make_graph(
        nodes,
        "net",
        [stated("x", shape)],
        [stated(name, sizes) for name, sizes in (outputs or {"y": None}).items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def run_net(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    """All outputs of a model, computed by the engine."""
    return open_session(model.SerializeToString()).run(None, {"x": x.astype(np.float32)})


def assert_same_results(before: onnx.ModelProto, after: onnx.ModelProto, x: np.ndarray) -> None:
    """The engine computes the same with both, but for rounding."""
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(after))  # states the shape of y
    for one, other in zip(run_net(before, x), run_net(after, x), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(other, one, atol=1e-5 * np.abs(one).max(), rtol=0)


def operators(model: onnx.ModelProto) -> list[str]:
    """Operators of a model's nodes, in their order."""
    return [node.op_type for node in model.graph.node]


def sface_like(side: int = 32, size: int = 64, seed: int = 0) -> onnx.ModelProto:
    """A net as OpenCV Zoo's quantiser leaves SFace.

    Weights in int8 blocks with scale and zero point, norms, PReLUs, a dropout, its own
    normalisation of pixels, and inputs that name the weights which were replaced.
    """
    rng = np.random.default_rng(seed)
    constants: dict[str, np.ndarray] = {
        "mean": np.float32([127.5]),
        "scale": np.float32([1 / 128]),
        "train": np.array(False),
    }
    dequantisers, nodes = [], []

    def weight(name, shape, *, block):
        columns = int(np.prod(shape[1:]))
        blocks = (shape[0], columns // block)
        constants[f"{name}_q"] = rng.integers(-128, 128, (shape[0], columns)).astype(np.int8)
        constants[f"{name}_s"] = rng.uniform(0.5, 1, blocks).astype(np.float32) / columns**0.5 / 64
        constants[f"{name}_z"] = rng.integers(-9, 9, blocks).astype(np.int8)
        parts = [f"{name}_{part}" for part in "qsz"]
        dequantisers.append(
            helper.make_node("DequantizeLinear", parts, [f"{name}_d"], axis=1, block_size=block)
        )
        constants[f"{name}_shape"] = np.array(shape)
        dequantisers.append(helper.make_node("Reshape", [f"{name}_d", f"{name}_shape"], [name]))
        return name

    def norm(source, target, channels):
        names = [f"{target}_{part}" for part in ("gamma", "beta", "mean", "variance")]
        values = rng.normal(size=(4, channels)).astype(np.float32)
        values[[0, 3]] = rng.uniform(0.5, 2, (2, channels))
        constants.update(zip(names, values, strict=True))
        nodes.append(
            helper.make_node("BatchNormalization", [source, *names], [target], epsilon=1e-3)
        )

    nodes += [
        helper.make_node("Sub", ["x", "mean"], ["shifted"]),
        helper.make_node("Mul", ["shifted", "scale"], ["h0"]),
    ]
    layers = [((16, 3, 3, 3), 27, 1, 2), ((16, 1, 3, 3), 9, 16, 2), ((32, 16, 1, 1), 8, 1, 1)]
    for index, (shape, block, group, stride) in enumerate(layers):
        options = {"group": group, "strides": [stride] * 2, "pads": [shape[2] // 2] * 4}
        inputs = [f"h{index}", weight(f"w{index}", shape, block=block)]
        nodes.append(helper.make_node("Conv", inputs, [f"c{index}"], **options))
        norm(f"c{index}", f"n{index}", shape[0])
        constants[f"a{index}"] = rng.uniform(-0.3, 1.1, (shape[0], 1, 1)).astype(np.float32)
        nodes.append(helper.make_node("PRelu", [f"n{index}", f"a{index}"], [f"h{index + 1}"]))
    cells = 32 * (side // 4) ** 2
    nodes += [
        helper.make_node("Dropout", ["h3", "", "train"], ["d"]),
        helper.make_node("Flatten", ["d"], ["f"]),
        helper.make_node("Gemm", ["f", weight("fc", (size, cells), block=64)], ["g"], transB=1),
    ]
    norm("g", "y", size)
    net = net_of(
        dequantisers + nodes, constants, shape=("N", 3, side, side), outputs={"y": ("N", size)}
    )
    for index, (shape, *_) in enumerate(layers):
        old = helper.make_tensor_value_info(f"w{index}_float", TensorProto.FLOAT, shape)
        net.graph.input.append(old)
    return net
