"""ONNX graph that is being rewritten: its nodes, and its constants as arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]
OLDEST_IR = 4  # the first in which an initializer need not be an input, too


@dataclass
class Graph:
    """Nodes and constants of a model, changed in place by the passes.

    Attributes:
        model: the model they were taken from; inputs, outputs, opset and metadata stay its own.
        nodes: in an order in which each follows those it needs.
        constants: initializers, and whatever was computed of them; the unused are not written.
        ranks: number of axes of a tensor, where known.
    """

    model: onnx.ModelProto
    nodes: list[onnx.NodeProto]
    constants: dict[str, Array]
    ranks: dict[str, int] = field(default_factory=dict)

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return max((one.version for one in self.model.opset_import if not one.domain), default=0)

    @property
    def outputs(self) -> set[str]:
        """Names of the graph's outputs."""
        return {output.name for output in self.model.graph.output}

    def uses(self) -> Counter[str]:
        """How often each tensor is read, as an output of the graph too."""
        read = [name for node in self.nodes for name in node.input]
        return Counter([*read, *self.outputs])

    def makers(self) -> dict[str, onnx.NodeProto]:
        """The node that makes each tensor."""
        return {name: node for node in self.nodes for name in node.output}

    def add_constant(self, name: str, value: Array) -> str:
        """Keep a new constant under a name that nothing has yet; return that name."""
        taken = self.constants.keys() | self.makers().keys()
        while name in taken:
            name += "_"
        self.constants[name] = value
        return name

    def is_float(self, name: str) -> bool:
        """Whether a tensor is a constant of finite float32 numbers."""
        value = self.constants.get(name)
        return value is not None and value.dtype == np.float32 and bool(np.isfinite(value).all())


def opened(model: onnx.ModelProto) -> Graph:
    """The graph of a model; the model itself is not changed.

    Args:
        model: one without branches, loops, functions and sparse tensors, see :func:`is_plain`.
    """
    inferred = onnx.shape_inference.infer_shapes(model).graph
    known = [*inferred.input, *inferred.value_info, *inferred.output]
    ranks = {
        item.name: len(item.type.tensor_type.shape.dim)
        for item in known
        if item.type.tensor_type.HasField("shape")
    }
    nodes = []
    for node in model.graph.node:
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        nodes.append(copied)
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    return Graph(model, nodes, constants, ranks)


def is_plain(model: onnx.ModelProto) -> bool:
    """Whether a model is one list of nodes: no branches, loops, functions or sparse tensors."""
    kinds = {attribute.type for node in model.graph.node for attribute in node.attribute}
    nested = kinds & {onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS}
    return not (nested or model.functions or model.graph.sparse_initializer)


def model_of(graph: Graph) -> onnx.ModelProto:
    """The model of a rewritten graph.

    Constants are no inputs any more, and neither is what no node reads; tensors between the nodes
    lose their stated shapes, which the engine finds by itself.
    """
    uses = graph.uses()
    old = graph.model.graph
    read = [item for item in old.input if uses[item.name] and item.name not in graph.constants]
    weights = [
        numpy_helper.from_array(np.asarray(value, order="C"), name)
        for name, value in graph.constants.items()
        if uses[name]
    ]
    rewritten = helper.make_graph(graph.nodes, old.name, read, old.output, weights)
    model = onnx.ModelProto()
    for descriptor, value in graph.model.ListFields():
        if descriptor.name == "graph":
            continue
        if isinstance(value, (int, str)):
            setattr(model, descriptor.name, value)
        else:
            getattr(model, descriptor.name).extend(value)
    model.ir_version = max(model.ir_version, OLDEST_IR)
    model.graph.CopyFrom(rewritten)
    return model


def without_unread_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model without inputs that no node reads, for which the engine would ask.

    Quantisers leave the names of the weights that they replaced. The model itself where it has no
    such input, or where branches and functions hide what is read.
    """
    read = {name for node in model.graph.node for name in node.input}
    kept = [item for item in model.graph.input if item.name in read]
    if not is_plain(model) or len(kept) == len(model.graph.input):
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.graph.input[:]
    changed.graph.input.extend(kept)
    return changed


def with_output(model: onnx.ModelProto, output: str) -> onnx.ModelProto:
    """A model that returns one of its outputs alone; the given one is not changed."""
    (chosen,) = [item for item in model.graph.output if item.name == output]
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.graph.output[:]
    changed.graph.output.append(chosen)
    return changed


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Attributes of a node by name."""
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def without_unused(nodes: Iterable[onnx.NodeProto], needed: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that some needed tensor depends on, in their order."""
    wanted, kept = set(needed), []
    for node in reversed(list(nodes)):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    return kept[::-1]
