"""What the layers of a model make of crops: outputs between the nodes of its graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from faceverify.errors import ModelError
from faceverify.models.embedder import BATCH
from faceverify.models.model_file import ModelFile
from faceverify.runtime.onnx_session import open_session

MOST = 12  # layers of a model, its embedding among them
FEWEST = 3  # of one kind, below which another kind is looked for
ACTIVATIONS = frozenset(
    {
        "Relu",
        "PRelu",
        "LeakyRelu",
        "Clip",
        "Elu",
        "Selu",
        "Gelu",
        "HardSwish",
        "Sigmoid",
        "Softplus",
    }
)
WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})


@dataclass(frozen=True)
class Layer:
    """A layer of a model.

    Args:
        output: name of its tensor in the graph.
        kind: operator that makes it; "embedding" for the last one.
    """

    output: str
    kind: str


def layers_of(model: onnx.ModelProto, most: int = MOST) -> list[Layer]:
    """At most ``most`` layers, evenly spaced in the order of the graph, the embedding last.

    Sums of two branches, where there are some (residual blocks), or else activations, or else
    convolutions and products with weights.

    Args:
        model: its first output is the embedding.
        most: layers, at least 2.
    """
    nodes = [node for node in model.graph.node if node.output and node.output[0]]
    fixed = {item.name for item in model.graph.initializer}
    for node in nodes:  # what follows from constants alone is none of a photo's
        if all(name in fixed for name in node.input if name):
            fixed.update(node.output)
    last = model.graph.output[0].name
    varying = [node for node in nodes if node.output[0] not in fixed and last not in node.output]
    kinds = [
        [node for node in varying if node.op_type == "Add" and not fixed & set(node.input)],
        [node for node in varying if node.op_type in ACTIVATIONS],
        [node for node in varying if node.op_type in WEIGHTED],
    ]
    chosen = next((kind for kind in kinds if len(kind) >= FEWEST), max(kinds, key=len))
    places = np.linspace(0, len(chosen) - 1, min(len(chosen), most - 1)).round().astype(int)
    return [
        *(Layer(chosen[place].output[0], chosen[place].op_type) for place in places.tolist()),
        Layer(last, "embedding"),
    ]


class LayeredModel:
    """A model that also returns what its layers make of crops; thread-safe.

    Args:
        model: the model.
        most: layers.

    Raises:
        ModelError: the graph does not load.
    """

    def __init__(self, model: ModelFile, most: int = MOST) -> None:
        self.model = model
        try:
            graph = onnx.load_from_string(model.graph)
            self.layers = layers_of(graph, most)
            known = {item.name for item in graph.graph.output}
            graph.graph.output.extend(
                onnx.ValueInfoProto(name=layer.output)
                for layer in self.layers
                if layer.output not in known
            )
            self._session = open_session(graph.SerializeToString())
        except Exception as error:  # the engine's and protobuf's have no common base class
            raise ModelError(f"{model.name}: its layers cannot be shown: {error}") from error
        self._input = self._session.get_inputs()[0]

    def features(self, crops: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Features of crops in each layer, flattened, (N, p) each.

        Where the contract averages with the mirrored crop, layers are those of the crop as it is.

        Args:
            crops: RGB, (N, height, width, 3).

        Raises:
            ModelError: the engine cannot run it, or a layer mixes the photos of a batch.
        """
        planes = self.model.contract.planes(crops)
        size = self._input.shape[0]
        batch = size if isinstance(size, int) else BATCH
        parts: list[list[NDArray[np.float32]]] = [[] for _ in self.layers]
        names = [layer.output for layer in self.layers]
        for start in range(0, len(planes), batch):
            some = planes[start : start + batch]
            count = len(some)
            if isinstance(size, int) and count < size:
                some = np.resize(some, (size, *some.shape[1:]))
            try:
                found = self._session.run(names, {self._input.name: some})
            except Exception as error:  # as on loading
                raise ModelError(f"{self.model.name}: the engine cannot run it: {error}") from error
            for part, layer, values in zip(parts, self.layers, found, strict=True):
                if values.ndim < 2 or len(values) != len(some):
                    raise ModelError(
                        f"{self.model.name}: its layer {layer.output} has shape {values.shape} for "
                        f"{len(some)} crops, expected a row for each",
                    )
                part.append(values[:count].reshape(count, -1).astype(np.float32))
        return [np.concatenate(part) for part in parts]
