"""Models of other projects become model files.

The only file of the using half that knows torch, and only inside :func:`import_facenet`.
"""

from __future__ import annotations

import io
import warnings
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import ModelError, UsageError
from faceverify.faces.alignment import KNOWN_CROPS, BoxCrop, FivePoints
from faceverify.models.contract import COLOUR_ORDERS, Contract
from faceverify.models.install.graph_check import cosines, examine
from faceverify.models.model_file import ModelFile, Provenance, split_metadata

ARCFACE_SIDE, FACENET_SIDE = 112, 160
FACENET_MARGIN = 14 / 160  # of facenet-pytorch's own evaluation on LFW: 14 of 160 pixels
PARITY = 1e-4  # largest cosine distance between torch's embedding and ONNX Runtime's


def import_insightface(
    path: Path, *, provenance: Provenance, colour_order: str = "RGB", flip_average: bool = True
) -> ModelFile:
    """Make a model file of an ONNX file that is used as InsightFace's are.

    Its crops are aligned to the ArcFace template and enter as (x - 127.5) / 127.5, unless the graph
    does that itself: https://github.com/deepinsight/insightface, ``model_zoo/arcface_onnx.py``.
    The graph stays as it is, byte for byte.

    Args:
        path: the ONNX file.
        provenance: name, licence and origin, as far as they are known.
        colour_order: "RGB"; "BGR" for AdaFace and others that were trained with OpenCV's order.
        flip_average: whether to add the embedding of the mirrored crop, as papers do.

    Raises:
        ModelError: it cannot be read, or is not an ONNX model that makes embeddings of crops.
        UsageError: there is no such colour order.
    """
    if colour_order not in COLOUR_ORDERS:
        raise UsageError(f"colour order {colour_order!r}", cure="RGB or BGR")
    name = str(path)
    graph, _ = split_metadata(read(path), name)
    finding = examine(graph, name, default_side=ARCFACE_SIDE)
    side = finding.side or ARCFACE_SIDE
    mean, scale = (0.0, 1.0) if finding.normalises_itself else (127.5, 127.5)
    contract = Contract(
        width=side,
        height=side,
        colour_order=colour_order,
        mean=(mean,) * 3,
        scale=(scale,) * 3,
        alignment=arcface_alignment(side),
        embedding_size=finding.embedding_size,
        flip_average=flip_average,
    )
    return ModelFile(provenance.name, graph, contract, provenance)


def arcface_alignment(side: int) -> FivePoints:
    """Return the ArcFace template for a crop of another size.

    Multiples of 128 are the template of 112 with 8 pixels more on either side and 16 below, as
    InsightFace does it; any other size is a stretched 112.
    """
    wider = side % 128 == 0 and side % ARCFACE_SIDE != 0
    ratio, shift = (side / 128, 8.0) if wider else (side / ARCFACE_SIDE, 0.0)
    points = KNOWN_CROPS["arcface-112"].points
    return FivePoints(tuple(((x + shift) * ratio, y * ratio) for x, y in points))


def import_facenet(path: Path, *, provenance: Provenance, flip_average: bool = True) -> ModelFile:
    """Make a model file of a state dict of facenet-pytorch's InceptionResnetV1.

    Args:
        path: what torch.save wrote; read as weights only, so that no code of it runs.
        provenance: name, licence and origin, as far as they are known.
        flip_average: whether to add the embedding of the mirrored crop, as papers do.

    Raises:
        UsageError: torch, facenet-pytorch or onnx is not installed.
        ModelError: it cannot be read, does not fit the net, or ONNX Runtime's embeddings are not
            torch's.
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
    except Exception as error:  # whatever its parsers stumble over
        raise ModelError(f"{name}: not a state dict that loads without running code") from error
    net = InceptionResnetV1().eval()
    wanted = net.state_dict()
    problem = misfit(state, wanted)
    if problem:
        raise ModelError(f"{name}: not a state dict of InceptionResnetV1: {problem}")
    net.load_state_dict({key: state[key] for key in wanted})
    graph, _ = split_metadata(exported(net, torch.zeros(2, 3, FACENET_SIDE, FACENET_SIDE)), name)
    finding = examine(graph, name, default_side=FACENET_SIDE)

    noise = np.random.default_rng(1).uniform(-1, 1, (5, 3, FACENET_SIDE, FACENET_SIDE))
    crops = noise.astype(np.float32)
    with torch.no_grad():
        expected: NDArray[np.float32] = net(torch.from_numpy(crops)).numpy()
    apart = 1 - np.min(cosines(finding.net.run(crops), expected))
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
    return ModelFile(provenance.name, graph, contract, provenance)


def facenet_needs() -> list[str]:
    """Name the packages that are missing for :func:`import_facenet`, without importing any."""
    return [name for name in ("torch", "facenet_pytorch", "onnx") if find_spec(name) is None]


def misfit(state: Any, wanted: dict[str, Any]) -> str:
    """Say why a state dict does not fit a net; nothing where it does.

    What it holds besides is left out: facenet-pytorch's files carry the classifier they were
    trained with.
    """
    if not isinstance(state, dict):
        return f"it holds a {type(state).__name__}"
    missing = sorted(set(wanted) - set(state))
    if missing:
        return f"{len(missing)} of {len(wanted)} tensors are missing, such as {missing[0]}"
    for key, tensor in wanted.items():
        shape = getattr(state[key], "shape", None)
        if shape != tensor.shape:
            return f"{key} is {shape}, not {tuple(tensor.shape)}"
        if not state[key].isfinite().all():
            return f"{key} holds NaN or infinity"
    return ""


def exported(net: Any, example: Any, *, keep_weights: bool = False) -> bytes:
    """Write a torch net as ONNX with a dynamic batch axis.

    The exporter that follows TorchScript needs no package beyond torch; where a later torch has
    dropped it, the newer one needs onnxscript.

    Args:
        net: in inference mode, on the CPU.
        example: an input, (N, 3, H, W).
        keep_weights: whether every weight is written as it is, under its own name, rather than
            folded with its neighbours.

    Raises:
        ModelError: neither works.
    """
    import torch

    names = {"input_names": ["crops"], "output_names": ["embeddings"], "verbose": False}
    axes = {"crops": {0: "N"}, "embeddings": {0: "N"}}
    older: dict[str, Any] = {"dynamic_axes": axes, "opset_version": 17}
    export: Any = torch.onnx.export  # its signature differs from version to version
    if "dynamo" in signature(export).parameters:  # from torch 2.5 on
        older["dynamo"] = False
    newer: dict[str, Any] = {"dynamo": True, "dynamic_shapes": ({0: "N"},), "opset_version": 18}
    if keep_weights:
        # the net is in inference mode already; asked for by name, that mode would fold its norms
        older |= {"do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE}
        newer |= {"optimize": False}
    reasons = []
    for options in (older, newer):
        stream = io.BytesIO()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about exporters of the future
                export(net, (example,), stream, **names, **options)
        except Exception as error:
            reasons.append(f"{type(error).__name__}: {error}")
        else:
            return stream.getvalue()
    raise ModelError(
        f"torch {torch.__version__} cannot export it as ONNX ({'; '.join(reasons)[:500]})",
        cure="pip install onnxscript",
    )


def read(path: Path) -> bytes:
    """Read a file; ModelError says why not."""
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{path}: cannot be read: {reason}") from error
