"""Preparation of a net: every pass in its order."""

from __future__ import annotations

import onnx

from faceverify.models.prepare.batch_norm import fold_batch_norm
from faceverify.models.prepare.constants import fold_constants
from faceverify.models.prepare.graph import is_plain, model_of, opened, without_unused
from faceverify.models.prepare.idle import drop_idle
from faceverify.models.prepare.prelu import rewrite_prelu, rewrite_scalar_prelu


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model rewritten so that the engine runs it faster, with the same results but for rounding.

    Weights kept as int8 become float32, norms are folded, PReLU is rewritten, idle nodes and
    constants among the inputs go. What a pass does not know is left as it is.

    Args:
        model: not changed.

    Returns:
        The new model; the given one where there is nothing to do, or where it has branches, loops,
        functions or sparse tensors.
    """
    if not is_plain(model):
        return model
    graph = opened(model)
    for rewrite in (
        fold_constants,
        drop_idle,
        fold_batch_norm,
        rewrite_prelu,
        rewrite_scalar_prelu,
    ):
        rewrite(graph)
    graph.nodes = without_unused(graph.nodes, graph.outputs)
    prepared = model_of(graph)
    return model if same_nodes(model.graph, prepared.graph) else prepared


def same_nodes(first: onnx.GraphProto, second: onnx.GraphProto) -> bool:
    """Whether two graphs have the same nodes and inputs."""
    return list(first.node) == list(second.node) and list(first.input) == list(second.input)
