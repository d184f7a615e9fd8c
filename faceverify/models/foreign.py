"""Files given as a model that are none: what they are, and what makes a model of them."""

from __future__ import annotations

import re
import zipfile
from io import BytesIO
from typing import NamedTuple

from faceverify.errors import ModelError
from faceverify.runtime.file_kinds import (
    ANNEX_POINTER,
    LFS_POINTER,
    UNPACK,
    WEB_PAGE,
    kind_of_file,
)

EXPORT = "export the net to ONNX, as with torch.onnx.export, and import that"
IMPORT = "`faceverify weights import` takes one of facenet-pytorch; else export the net to ONNX"
CONVERT = "convert it to ONNX, as with tf2onnx, and import that"
LONGEST_HEADER = 100_000_000  # bytes, of a safetensors file


class Foreign(NamedTuple):
    """What a file is, with its article, and what helps."""

    name: str
    cure: str


STATE_DICT = Foreign("a file of PyTorch (torch.save)", IMPORT)
TORCHSCRIPT = Foreign("a TorchScript program", EXPORT)
STARTS = {  # (offset, bytes): kind
    (0, b"\x80\2"): STATE_DICT,
    (0, b"\x80\3"): STATE_DICT,
    (0, b"\x80\4"): STATE_DICT,
    (0, b"\x80\5"): STATE_DICT,
    (0, b"\x89HDF\r\n\x1a\n"): Foreign("an HDF5 file, such as of Keras", CONVERT),
    (4, b"TFL3"): Foreign("a TensorFlow Lite model", CONVERT),
    (0, b"GGUF"): Foreign("a GGUF file", EXPORT),
    (0, b"ftrt"): Foreign("a TensorRT engine, for one kind of GPU", EXPORT),
    (0, b"ptrt"): Foreign("a TensorRT engine, for one kind of GPU", EXPORT),
    (0, b"\x12\1\0\0\0\0\0\0"): Foreign("weights of MXNet, without the net", EXPORT),
}


def foreign_kind(data: bytes) -> Foreign | None:
    """What a file is that is no ONNX model; None for what is unknown."""
    for (offset, start), kind in STARTS.items():
        if data.startswith(start, offset):
            return kind
    if data[:4] == b"PK\3\4":
        return _archive(data)
    header = int.from_bytes(data[:8], "little")
    if data[8:9] == b"{" and 2 <= header <= LONGEST_HEADER and b'"' in data[9:32]:
        return Foreign("a safetensors file: weights without the net", EXPORT)
    if b"<net " in data[:1000]:
        return Foreign("a model of OpenVINO", EXPORT)
    found = kind_of_file(data)
    if found is None:
        return None
    helps = found.cure == UNPACK or found in (LFS_POINTER, ANNEX_POINTER, WEB_PAGE)
    return Foreign(found.name, found.cure if helps else "")


def _archive(data: bytes) -> Foreign:
    """What a zip archive is, by the names in it."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return Foreign("a zip archive, and a damaged one", "download it again")
    if any(name.endswith("/constants.pkl") for name in names):
        return TORCHSCRIPT
    if any(name.endswith("/data.pkl") for name in names):
        return STATE_DICT
    if "model.weights.h5" in names:
        return Foreign("a model of Keras", CONVERT)
    if all(name.endswith(".npy") for name in names):
        return Foreign("an .npz file, such as of embeddings", "")
    nets = [name for name in names if name.endswith(".onnx")]
    if nets:
        return Foreign(f"an archive of {', '.join(nets[:9])}", "unpack it and name one of them")
    return Foreign("a zip archive", "unpack it")


def not_onnx_error(data: bytes, name: str) -> ModelError:
    """The error of a file that is no ONNX model: says what it is, as far as is known."""
    kind = foreign_kind(data)
    if kind is None:
        return ModelError(f"{name}: not an ONNX file, or a damaged one")
    return ModelError(f"{name}: {kind.name}, not an ONNX file", cure=kind.cure)


# What the engine says of a graph that it does not load, what that means, and what helps.
PROBLEMS = (
    (
        re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)"),
        "is of ONNX's IR version {}, and this engine reads up to {}",
        "pip install -U onnxruntime, or export it with an older onnx",
    ),
    (
        re.compile(r"[Oo]pset (\d+) is under development.*?opset (\d+)", re.DOTALL),
        "is of opset {}, and this engine has up to {}",
        "pip install -U onnxruntime, or export it with a lower opset_version",
    ),
    (
        re.compile(r"No Op registered for (\S+) with domain_version of (\d+)"),
        "has an operator {} (opset {}), which this engine has not",
        "pip install -U onnxruntime, or export it without operators of its own",
    ),
    (
        re.compile(r"(\S+?)(?:\(\S*\))? is not a registered function/op()"),
        "has an operator {}, which this engine has not{}",
        "export it without operators of its own",
    ),
)
SIGNATURE = re.compile(r"/onnxruntime_src/\S+ .*?\) (?=[A-Z])", re.DOTALL)  # of C++


def unloadable_error(name: str, problem: Exception) -> ModelError:
    """The error of an ONNX file that the engine does not load: by its words, where plain ones lack.

    A model that was exported for a newer engine is told from one that is wrong.
    """
    words = SIGNATURE.sub("", str(problem))
    for pattern, found, cure in PROBLEMS:
        if match := pattern.search(words):
            text = f"{name}: the engine cannot load it: it {found.format(*match.groups())}"
            return ModelError(text, cure=cure)
    return ModelError(f"{name}: the engine cannot load it: {words}")
