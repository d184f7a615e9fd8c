"""ONNX graph of a backbone or a text encoder, fast to run and usable as pretrained weights.

Prepared for the engine as imported nets are (:mod:`faceverify.models.prepare`), as far as each
weight stays a separate initializer with its name in the state dict. Norms are not folded:
ONNX Runtime does that when it loads the file, and the weights stay readable.
"""

from __future__ import annotations

import copy
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from faceverify.models.install.convert import exported
from faceverify.models.prepare.constants import fold_constants
from faceverify.models.prepare.graph import model_of, opened, without_unused
from faceverify.models.prepare.prelu import rewrite_prelu


def graph_of(backbone: nn.Module, *, size: int) -> bytes:
    """Serialise a backbone: ``crops`` (N, 3, size, size) to ``embeddings`` (N, D), for any N.

    The same weights give the same bytes.

    Args:
        backbone: neither compiled nor wrapped; not changed.
        size: side of its crops, in pixels.

    Raises:
        ModelError: torch cannot export it.
    """
    return prepared_graph(backbone, torch.zeros(2, 3, size, size))


def text_graph_of(encoder: nn.Module, *, context: int) -> bytes:
    """Serialise a text encoder: ``tokens`` (N, L), int64, to ``embeddings`` (N, D), any N and L.

    Args:
        encoder: neither compiled nor wrapped; not changed.
        context: the largest L.

    Raises:
        ModelError: torch cannot export it.
    """
    tokens = torch.ones(2, context, dtype=torch.int64)
    return prepared_graph(encoder, tokens, inputs="tokens", axes={0: "N", 1: "L"})


def prepared_graph(module: nn.Module, example: Tensor, **options: Any) -> bytes:
    """Serialise a network as the engine runs it.

    Args:
        module: neither compiled nor wrapped; not changed.
        example: an input.
        options: of :func:`~faceverify.models.install.convert.exported`.

    Raises:
        ModelError: torch cannot export it.
    """
    net = copy.deepcopy(module).cpu().float().to(memory_format=torch.contiguous_format).eval()
    with torch.no_grad():  # some modules compute differently with gradients enabled
        content = exported(net, example, keep_weights=True, **options)
    graph = opened(onnx.load_from_string(content))
    # the exporter writes equal weights once, with references: each gets its own initializer
    fold_constants(graph, {"Identity"})
    rewrite_prelu(graph)
    graph.nodes = without_unused(graph.nodes, graph.outputs)
    model = model_of(graph)
    model.producer_name, model.producer_version = "faceverify", ""
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
