"""ONNX file read whole: weights kept in a second file beside it are taken in.

The engine would look for that file in the folder that a command runs in, and compute with whatever
lies there: https://onnx.ai/onnx/repo-docs/ExternalData.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import onnx
from onnx import external_data_helper, numpy_helper

from faceverify.errors import ModelError
from faceverify.runtime.text import printable

LIMIT = 2**31 - 1  # bytes of an ONNX file


def read_whole(path: Path) -> bytes:
    """Content of an ONNX file with all of its weights in it; the file's own bytes if it has them.

    Raises:
        ModelError: it is unreadable or no ONNX file; its second file is missing, outside of its
            folder, or too short; or one file cannot hold both.
    """
    data = read(path)
    if b"location" not in data:  # the key that names a second file
        return data
    model = parsed(data, str(path))
    tensors = tensors_of(chain([model.graph.node], (one.node for one in model.functions)))
    outside = [
        tensor
        for tensor in chain(model.graph.initializer, tensors)
        if external_data_helper.uses_external_data(tensor)
    ]
    for tensor in outside:
        take_in(tensor, path)
    if not outside:
        return data
    if model.ByteSize() > LIMIT:
        raise ModelError(
            f"{path}: with the weights of its second file it exceeds the 2 GB of an ONNX file",
            cure="export it with smaller weights, such as float16",
            code="model-second-file",
        )
    return serialised(model)


def take_in(tensor: onnx.TensorProto, path: Path) -> None:
    """Read a tensor of the second file into the model; changed in place."""
    location = external_data_helper.ExternalDataInfo(tensor).location
    second, name = printable(location), printable(tensor.name)
    try:
        external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
        numpy_helper.to_array(tensor)  # as many bytes as its shape asks for?
    except Exception as error:  # onnx raises its own, ValueError and OSError alike
        there = (path.parent / location).is_file()
        problem = f"does not hold {name}" if there else "is not there"
        raise ModelError(
            f"{path}: its weights are in a second file, {second}, which {problem}",
            cure="put the file that it was exported with into its folder, under that name",
            code="model-second-file",
        ) from error


def tensors_of(bodies: Iterable[Iterable[onnx.NodeProto]]) -> Iterator[onnx.TensorProto]:
    """Tensors in the attributes of nodes, those of branches and loops included."""
    for node in chain.from_iterable(bodies):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for graph in (attribute.g, *attribute.graphs):
                yield from graph.initializer
                yield from tensors_of([graph.node])


def parsed(data: bytes, name: str) -> onnx.ModelProto:
    """The model of its bytes; ModelError if they are none."""
    try:
        return onnx.load_from_string(data)
    except Exception as error:  # protobuf's errors have no common base class with onnx's
        raise ModelError(f"{name}: not an ONNX file, or a damaged one") from error


def serialised(model: onnx.ModelProto) -> bytes:
    """The bytes of a model, the same for the same model."""
    return bytes(model.SerializeToString(deterministic=True))


def read(path: Path) -> bytes:
    """Content of a file; ModelError if unreadable."""
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{path}: cannot be read: {reason}") from error
