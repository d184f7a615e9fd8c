"""Check of an ONNX graph by running it: whether it embeds crops, and what input it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import ModelError
from faceverify.models.foreign import unloadable_error
from faceverify.models.install.normalisation import normalises_itself, probe_images
from faceverify.models.install.outputs import choose_output, cosines
from faceverify.runtime.onnx_session import open_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

LARGEST = 1024  # side and batch size of the input
STILL = 1e-6  # largest relative difference of embeddings that is put down to rounding


@dataclass(frozen=True)
class Net:
    """A graph loaded into ONNX Runtime.

    Attributes:
        name: for messages.
        session: of ONNX Runtime.
        inputs: name, type and shape of each input.
        outputs: their names.
        output: the one that :meth:`embed` returns.
    """

    name: str
    session: InferenceSession
    inputs: tuple[tuple[str, str, list[int | str | None]], ...]
    outputs: tuple[str, ...]
    output: str

    def run(self, crops: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """All outputs of floats for crops, (N, 3, S, S); ModelError if inference fails."""
        try:
            found = self.session.run(list(self.outputs), {self.inputs[0][0]: crops})
        except Exception as error:  # ONNX Runtime's errors have no common base class
            raise ModelError(f"{self.name}: fails on {crops.shape} crops: {error}") from error
        return {
            output: rows
            for output, rows in zip(self.outputs, found, strict=True)
            if isinstance(rows, np.ndarray) and rows.dtype.kind == "f"
        }

    def embed(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows of the chosen output for any number of crops, in batches of the size it takes."""
        batch = self.input_shape()[0] or len(crops)
        rows = []
        for start in range(0, len(crops), batch):
            some = crops[start : start + batch]
            filled = np.resize(some, (batch, *some.shape[1:]))
            rows.append(self.run(filled)[self.output][: len(some)])
        return np.concatenate(rows)

    def input_shape(self) -> tuple[int | None, int | None]:
        """Batch size and side of the input, each None where it is dynamic.

        Raises:
            ModelError: the input is not a single float tensor of N x 3 x S x S.
        """
        match self.inputs:
            case ((_, "tensor(float)", [batch, 3, height, width]),):
                sizes = [size if isinstance(size, int) else None for size in (batch, height, width)]
                fits = all(size is None or 0 < size <= LARGEST for size in sizes)
                if fits and sizes[1] == sizes[2]:
                    return sizes[0], sizes[1]
        raise ModelError(
            f"{self.name}: its input is {self.inputs}, not one of N x 3 x S x S floats",
            cure="export it with channels first and float32",
        )


@dataclass(frozen=True)
class Finding:
    """Result of the check of a graph.

    Attributes:
        net: the loaded graph, with the output that is the embedding.
        side: width and height of its input; None where dynamic.
        embedding_size: D, numbers in an embedding.
        normalises_itself: whether it takes pixels of 0 to 255; None where that does not show.
    """

    net: Net
    side: int | None
    embedding_size: int
    normalises_itself: bool | None


def examine(graph: bytes, name: str, *, default_side: int, output: str = "") -> Finding:
    """Properties of a graph, found by running it on noise and on smooth images.

    Args:
        graph: a serialised ONNX model.
        name: for messages.
        default_side: side of the crops where the graph has a dynamic one.
        output: the one that is the embedding; "" where only one can be.

    Raises:
        ModelError: it does not load, or does not map N x 3 x S x S crops to N embeddings of them.
        UsageError: several outputs may be the embedding, or the given one is none.
    """
    net = load(graph, name)
    batch, side = net.input_shape()
    rng = np.random.default_rng(0)
    used_side = side or default_side
    noise = rng.uniform(-1, 1, (batch or 3, 3, used_side, used_side)).astype(np.float32)
    outputs = net.run(noise)
    net = replace(net, output=choose_output(outputs, len(noise), name=name, wanted=output))
    rows = outputs[net.output]
    if not np.isfinite(rows).all():
        raise ModelError(f"{name}: returns NaN or infinity for noise")
    if batch is None:
        alone = np.concatenate([net.embed(crop[None]) for crop in noise])
        if np.min(cosines(rows, alone)) < 0.9999:
            raise ModelError(
                f"{name}: a crop's embedding depends on the others shown with it",
                cure="export it for inference, with a dynamic batch axis",
            )
    check_that_it_looks(net, used_side)
    return Finding(net, side, rows.shape[1], normalises_itself(net.embed, used_side))


def check_that_it_looks(net: Net, side: int) -> None:
    """Check that images that differ get embeddings that differ; ModelError if none do."""
    pixels = probe_images(side).transpose(0, 3, 1, 2).astype(np.float32)
    for images in (pixels, (pixels - 127.5) / 127.5):
        rows = net.embed(images).astype(np.float64)
        if not np.isfinite(rows).all() or np.ptp(rows, axis=0).max() > STILL * np.abs(rows).max():
            return
    raise ModelError(
        f"{net.name}: its output {net.output} does not depend on the input",
        cure="export the trained net, with its weights and its input",
    )


def load(graph: bytes, name: str) -> Net:
    """A graph loaded into ONNX Runtime; ModelError if that fails."""
    try:
        session = open_session(graph)
        inputs = tuple((item.name, item.type, item.shape) for item in session.get_inputs())
        outputs = tuple(item.name for item in session.get_outputs())
        return Net(name, session, inputs, outputs, outputs[0])
    except Exception as error:  # ONNX Runtime's errors have no common base class
        raise unloadable_error(name, error) from error
