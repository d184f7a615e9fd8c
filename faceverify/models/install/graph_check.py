"""Find out whether an ONNX graph makes embeddings of crops, and how it wants them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import ModelError
from faceverify.models.protobuf import fields, values
from faceverify.runtime.onnx_session import open_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

LARGEST = 1024  # side and batch of the crops that a net may want
FEWEST = 32  # numbers in an embedding; fewer are a classifier's, such as age and sex
SHIFTS, SCALES, NEUTRAL = {"Sub", "Add"}, {"Mul", "Div"}, {"Identity", "Cast"}

# Field numbers of onnx.proto3.
GRAPH, NODE, NODE_INPUT, NODE_OUTPUT, NODE_OPERATOR = 7, 1, 1, 2, 4


@dataclass(frozen=True)
class Net:
    """A loaded graph.

    Attributes:
        name: for messages.
        session: the engine's.
        inputs: name, type and shape of each input.
        output: name of the first output.
    """

    name: str
    session: InferenceSession
    inputs: tuple[tuple[str, str, list[int | str | None]], ...]
    output: str

    def run(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the first output; ModelError where the net fails."""
        try:
            found = self.session.run([self.output], {self.inputs[0][0]: crops})[0]
        except Exception as error:  # the engine's errors have no common base of their own
            raise ModelError(f"{self.name}: fails on {crops.shape} crops: {error}") from error
        return np.asarray(found)

    def input_shape(self) -> tuple[int | None, int | None]:
        """Return batch size and side of the input, each None where it is left open.

        Raises:
            ModelError: the one input is not N x 3 x S x S floats.
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
    """What was found out about a net.

    Attributes:
        net: the net.
        side: width and height of its input; None where the graph leaves it open.
        embedding_size: numbers in an embedding.
        normalises_itself: whether the graph begins with subtracting a mean and scaling.
    """

    net: Net
    side: int | None
    embedding_size: int
    normalises_itself: bool


def examine(graph: bytes, name: str, *, default_side: int) -> Finding:
    """Load a net, run it on noise and describe it.

    Args:
        graph: a serialised ONNX model.
        name: for messages.
        default_side: side of the crops to try where the graph leaves it open.

    Raises:
        ModelError: it does not load, or does not turn N x 3 x S x S crops into N embeddings.
    """
    net = load(graph, name)
    batch, side = net.input_shape()
    rng = np.random.default_rng(0)
    shape = (batch or 3, 3, side or default_side, side or default_side)
    noise = rng.uniform(-1, 1, shape).astype(np.float32)
    rows = net.run(noise)
    if rows.ndim != 2 or len(rows) != len(noise) or rows.shape[1] < FEWEST:
        raise ModelError(
            f"{name}: returns {rows.shape} for {len(noise)} crops, which are no embeddings",
            cure="import the net that recognises, such as w600k_r50.onnx of an InsightFace pack",
        )
    if not np.isfinite(rows).all():
        raise ModelError(f"{name}: returns NaN or infinity for noise")
    if batch is None:
        alone = np.concatenate([net.run(crop[None]) for crop in noise])
        if np.min(cosines(rows, alone)) < 0.9999:
            raise ModelError(
                f"{name}: a crop's embedding depends on the others shown with it",
                cure="export it for inference, with a dynamic batch axis",
            )
    return Finding(net, side, rows.shape[1], normalises_itself(graph, net.inputs[0][0]))


def load(graph: bytes, name: str) -> Net:
    """Load a graph into the engine; ModelError where it cannot."""
    try:
        session = open_session(graph)
        inputs = tuple((item.name, item.type, item.shape) for item in session.get_inputs())
        return Net(name, session, inputs, session.get_outputs()[0].name)
    except Exception as error:  # the engine's errors have no common base of their own
        raise ModelError(
            f"{name}: the engine cannot load it: {error}",
            cure="weights kept in a second file must be merged into it first",
        ) from error


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the cosine of each row of one matrix with the same row of another, (N,)."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) / np.maximum(lengths, 1e-30))


def normalises_itself(graph: bytes, tensor: str) -> bool:
    """Tell whether a graph itself subtracts a mean from its input and scales it.

    Some exports of InsightFace do, and their users must not do it again. Followed is the one path
    from the input on, as long as its nodes only shift, scale or pass on.

    Args:
        graph: a serialised ONNX model that the engine loads.
        tensor: name of its input.
    """
    nodes = [
        node_of(graph, span) for body in values(graph, GRAPH) for span in nodes_in(graph, body)
    ]
    seen = set()
    for _ in nodes:
        users = [node for node in nodes if tensor in node[1]]
        if len(users) != 1 or users[0][0] not in SHIFTS | SCALES | NEUTRAL:
            break
        operator, _, (tensor, *_) = users[0]
        seen.add(operator)
    return bool(seen & SHIFTS) and bool(seen & SCALES)


def nodes_in(graph: bytes, body: slice) -> list[slice]:
    """Return where the nodes of a graph lie."""
    return list(values(graph, NODE, body.start, body.stop))


def node_of(graph: bytes, span: slice) -> tuple[str, list[str], list[str]]:
    """Return a node's operator and the names of its inputs and outputs."""
    texts: dict[int, list[str]] = {NODE_INPUT: [], NODE_OUTPUT: [], NODE_OPERATOR: []}
    for number, _, start, end in fields(graph, span.start, span.stop):
        if number in texts:
            texts[number].append(graph[start:end].decode(errors="replace"))
    return "".join(texts[NODE_OPERATOR]), texts[NODE_INPUT], texts[NODE_OUTPUT]
