"""Conversion of facenet-pytorch's networks to model files.

The only file of the using half that imports torch, inside functions.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import ModelError, UsageError
from faceverify.faces.alignment import BoxCrop
from faceverify.models.contract import Contract
from faceverify.models.install.graph_check import examine
from faceverify.models.install.outputs import cosines
from faceverify.models.install.ready import Say, nothing, ready
from faceverify.models.install.whole_file import read
from faceverify.models.model_file import ModelFile, Provenance, split_metadata

FACENET_SIDE = 160
FACENET_MARGIN = 14 / 160  # of facenet-pytorch's own evaluation on LFW: 14 of 160 pixels
PARITY = 1e-4  # largest cosine distance between torch's embedding and ONNX Runtime's


def import_facenet(
    path: Path, *, provenance: Provenance, flip_average: bool = True, say: Say = nothing
) -> ModelFile:
    """A model file of a state dict of facenet-pytorch's InceptionResnetV1.

    Args:
        path: of a file of torch.save, loaded with weights_only.
        provenance: name, licence and origin, as far as known.
        flip_average: whether to add the embedding of the mirrored crop, as usual in papers.
        say: called with lines about what was done.

    Raises:
        UsageError: torch, facenet-pytorch or onnx is not installed.
        ModelError: unreadable, of another network, or embeddings of ONNX Runtime and torch differ.
    """
    if missing := facenet_needs():
        raise UsageError(
            f"{path}: making a model file of it needs {', '.join(missing)}",
            cure="pip install 'faceverify[train]'",
        )
    import torch
    from facenet_pytorch import InceptionResnetV1

    name = str(path)
    data = read(path)
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # the parsers of torch raise exceptions of many classes
        raise ModelError(f"{name}: not a state dict that loads without running code") from error
    net = InceptionResnetV1().eval()
    tensors = net.state_dict()
    problem = misfit(state, tensors)
    if problem:
        raise ModelError(f"{name}: not a state dict of InceptionResnetV1: {problem}")
    net.load_state_dict({key: state[key] for key in tensors})
    graph, _ = split_metadata(exported(net, torch.zeros(2, 3, FACENET_SIDE, FACENET_SIDE)), name)
    finding = examine(graph, name, default_side=FACENET_SIDE)

    noise = np.random.default_rng(1).uniform(-1, 1, (5, 3, FACENET_SIDE, FACENET_SIDE))
    crops = noise.astype(np.float32)
    with torch.no_grad():
        expected: NDArray[np.float32] = net(torch.from_numpy(crops)).numpy()
    apart = 1 - np.min(cosines(finding.net.embed(crops), expected))
    if not apart <= PARITY:
        raise ModelError(
            f"{name}: exported, its embeddings are {apart:.2g} from torch's, more than {PARITY:g}",
            cure="please report it, with the versions of torch and onnxruntime",
        )
    contract = Contract(
        width=FACENET_SIDE,
        height=FACENET_SIDE,
        colour_order="RGB",
        mean=(127.5,) * 3,
        scale=(128.0,) * 3,
        alignment=BoxCrop(FACENET_MARGIN),
        embedding_size=finding.embedding_size,
        flip_average=flip_average,
    )
    return ready(ModelFile(provenance.name, graph, contract, provenance), say)


def facenet_needs() -> list[str]:
    """Missing packages that :func:`import_facenet` needs; none is imported."""
    return [name for name in ("torch", "facenet_pytorch") if find_spec(name) is None]


def misfit(state: Any, expected: dict[str, Any]) -> str:
    """Why a state dict does not fit a network; empty where it does.

    Additional tensors are ignored: facenet-pytorch's files contain the classifier of the training.
    """
    if not isinstance(state, dict):
        return f"it holds a {type(state).__name__}"
    missing = sorted(set(expected) - set(state))
    if missing:
        return f"{len(missing)} of {len(expected)} tensors are missing, such as {missing[0]}"
    for key, tensor in expected.items():
        shape = getattr(state[key], "shape", None)
        if shape != tensor.shape:
            return f"{key} is {shape}, not {tuple(tensor.shape)}"
        if not state[key].isfinite().all():
            return f"{key} holds NaN or infinity"
    return ""


def exported(
    net: Any,
    example: Any,
    *,
    keep_weights: bool = False,
    inputs: str = "crops",
    axes: Mapping[int, str] = MappingProxyType({0: "N"}),
) -> bytes:
    """A torch network exported as ONNX with a dynamic batch axis.

    By the TorchScript exporter, which needs no package beyond torch; where torch no longer has it,
    by the newer one, which needs onnxscript.

    Args:
        net: in eval mode, on the CPU.
        example: an input, such as crops, (N, 3, H, W).
        keep_weights: whether to keep every weight under its name instead of folding layers.
        inputs: name of the input; that of the output is "embeddings".
        axes: of the input that may have any length.

    Raises:
        ModelError: both exporters fail.
    """
    import torch

    names = {"input_names": [inputs], "output_names": ["embeddings"], "verbose": False}
    dynamic = {inputs: dict(axes), "embeddings": {0: "N"}}
    older: dict[str, Any] = {"dynamic_axes": dynamic, "opset_version": 17}
    export: Any = torch.onnx.export  # its signature differs from version to version
    if "dynamo" in signature(export).parameters:  # from torch 2.5 on
        older["dynamo"] = False
    newer: dict[str, Any] = {"dynamo": True, "dynamic_shapes": (dict(axes),), "opset_version": 18}
    if keep_weights:
        # the network is in eval mode already; the exporter's EVAL would fold its norms
        older |= {"do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE}
        newer |= {"optimize": False}
    reasons = []
    for options in (older, newer):
        stream = io.BytesIO()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # deprecations of the exporter
                export(net, (example,), stream, **names, **options)
        except Exception as error:
            reasons.append(f"{type(error).__name__}: {error}")
        else:
            return stream.getvalue()
    raise ModelError(
        f"torch {torch.__version__} cannot export it as ONNX ({'; '.join(reasons)[:500]})",
        cure="pip install onnxscript",
    )
