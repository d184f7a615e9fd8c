"""Export of a trained backbone to a model file, checked before it is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from faceverify.errors import TrainingError
from faceverify.models.contract import Contract
from faceverify.models.embedder import Embedder
from faceverify.models.install.outputs import cosines
from faceverify.models.model_file import ModelFile, Provenance, Threshold
from faceverify.training.distributed.wrappers import plain_module
from faceverify.training.export.onnx_graph import graph_of
from faceverify.training.optim.freezing import eval_mode

PARITY = 1e-4  # largest cosine distance between torch's embedding and ONNX Runtime's
EXAMPLES = 4  # crops of each kind to compare on
LARGEST = 1e18  # largest component of an embedding whose norm does not overflow float32


@dataclass(frozen=True)
class Exported:
    """A model file that was written.

    Attributes:
        path: the file.
        model_id: of the model.
        largest_cosine_difference: between torch's embeddings and those of the file.
    """

    path: Path
    model_id: str
    largest_cosine_difference: float


def export_model(
    backbone: nn.Module,
    path: Path,
    *,
    contract: Contract,
    provenance: Provenance,
    thresholds: Iterable[Threshold] = (),
    card: str = "",
    crops: NDArray[np.uint8] | None = None,
) -> Exported:
    """Write a backbone as a model file, after checking that both give the same embeddings.

    The check compares unit embeddings of noise, of smooth images and of crops, flip averaging
    included.

    Args:
        backbone: may be compiled or wrapped for several processes, on any device; not changed.
        path: of the file; written completely or not at all.
        contract: preprocessing contract of the backbone.
        provenance: name, architecture, head, data, licence.
        thresholds: calibrated operating points.
        card: the model card, lines of text.
        crops: a few of real faces, aligned as in the contract, RGB, (N, height, width, 3).

    Raises:
        TrainingError: the backbone returns NaN, or the file gives other embeddings.
        ModelError: torch or ONNX Runtime cannot handle it.
        OutputError: the file cannot be written.
    """
    net = plain_module(backbone)
    model = ModelFile(
        provenance.name, graph_of(net, size=contract.width), contract, provenance, (), card
    ).with_thresholds(thresholds)
    examples = example_crops(contract)
    if crops is not None:
        examples = np.concatenate([examples, crops])
    apart = largest_difference(net, model, examples)
    if not apart <= PARITY:
        raise TrainingError(
            f"exported, its embeddings are {apart:.2g} from torch's, more than {PARITY:g}",
            cure="please report it, with the backbone and the versions of torch and onnxruntime",
        )
    model.save(path)
    return Exported(path, model.id, apart)


def largest_difference(net: nn.Module, model: ModelFile, crops: NDArray[np.uint8]) -> float:
    """Compare torch's embeddings with the model file's.

    Args:
        net: the backbone.
        model: the model file.
        crops: RGB, (N, height, width, 3).

    Returns:
        The largest cosine distance between the two embeddings of a crop.

    Raises:
        TrainingError: torch's embeddings are NaN, infinite or zero.
    """
    expected = torch_embeddings(net, model.contract, crops)
    usable = (np.abs(expected) < LARGEST).all()  # NaN is not, either
    if not usable or not expected.any(axis=1).all():
        raise TrainingError(
            "the backbone returns NaN, zero or numbers without end: there is nothing to export",
            cure="go back to an earlier checkpoint, and lower the learning rate",
            code="training-diverged",
        )
    embedder = Embedder(model)
    together = embedder.embed(crops)
    alone = np.concatenate([embedder.embed(crop[None]) for crop in crops[:2]])
    found = np.concatenate([together, alone])
    return float(1 - cosines(found, np.concatenate([expected, expected[:2]])).min())


def torch_embeddings(
    net: nn.Module, contract: Contract, crops: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Embed crops with torch, preprocessed and flip-averaged by the contract; raw, (N, D).

    Args:
        net: a backbone, on any device; its mode is restored.
        contract: of its model.
        crops: RGB, (N, height, width, 3).
    """
    device = next(net.parameters()).device
    with torch.no_grad(), eval_mode(net):
        x = torch.from_numpy(contract.planes(crops)).to(device)
        rows: Tensor = net(x)
        if contract.flip_average:
            rows = rows + net(x.flip(3))
    return rows.float().cpu().numpy()


def example_crops(contract: Contract) -> NDArray[np.uint8]:
    """Fixed test crops: noise and smooth images, (2 EXAMPLES, H, W, 3)."""
    random = np.random.default_rng(0)
    size = (contract.width, contract.height)
    noise = random.integers(0, 256, (EXAMPLES, *size[::-1], 3), np.uint8)
    coarse = random.integers(0, 256, (EXAMPLES, 8, 8, 3), np.uint8)
    smooth = [
        np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
        for picture in coarse
    ]
    return np.concatenate([noise, np.stack(smooth)])
