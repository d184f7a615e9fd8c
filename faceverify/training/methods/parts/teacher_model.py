"""Teacher that is a model file: its embeddings of the student's input, by ONNX Runtime or torch."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from faceverify.faces.alignment import FivePoints
from faceverify.models.contract import Contract
from faceverify.models.embedder import Embedder
from faceverify.models.model_file import ModelFile, load_model_file
from faceverify.models.registry import find_model
from faceverify.runtime.files import atomic_write
from faceverify.runtime.parallel import map_ordered
from faceverify.training.backbones.of_weights import backbone_of, built
from faceverify.training.backbones.pretrained import RUN_MODEL, fitted, read_weights
from faceverify.training.config.fields import config_error
from faceverify.training.data.loading.source import Stills
from faceverify.training.methods.method import exact

BLOCK = 256  # images whose embeddings are one file of the cache
ENGINES = ("onnxruntime", "torch")
BATCH = 128  # of torch
VERSION = 1  # of kept embeddings; a new one for another computation of them


class TeacherModel:
    """A trained model that is not trained on; nothing of it is in a checkpoint.

    Args:
        name: a model by its name, a model file, or the folder of a run.
        contract: of the student.
        method: named in errors.
        engine: that runs it: "onnxruntime", on the processor; or "torch", on the device of the
            student, for which its weights must be those of a backbone here.

    Raises:
        TrainingError: none is named, torch cannot run it, or it sees crops of another alignment.
        ModelError: there is no such model.
    """

    def __init__(
        self, name: str, contract: Contract, *, method: str, engine: str = ENGINES[0]
    ) -> None:
        if not name:
            raise config_error(f"method {method} learns from a model", "give --teacher MODEL")
        if engine not in ENGINES:
            raise config_error(f"method.engine is {engine!r}, not one of {', '.join(ENGINES)}")
        of_a_run = Path(name) / RUN_MODEL
        path = of_a_run if of_a_run.is_file() else find_model(name)
        model = load_model_file(path, name)
        self._engine = engine
        self._embedder = TorchEmbedder(model, name) if engine == "torch" else Embedder(model)
        self._ours, self._theirs = contract, self._embedder.model.contract
        if not same_frame(self._theirs, contract):
            raise config_error(
                f"the teacher {name} sees crops of another alignment than the student",
                "cut the crops as it wants them, `faceverify align --alignment`, and name it: "
                "--set data.alignment=NAME",
            )

    @property
    def embedding_size(self) -> int:
        """Numbers in an embedding."""
        return self._theirs.embedding_size

    def embed(self, images: Tensor) -> Tensor:
        """Unit embeddings of the student's input, (N, 3, H, W) to (N, D), on its device."""
        self._run_on(images.device)
        return torch.from_numpy(self.embed_crops(self.pixels(images))).to(images.device)

    @torch.no_grad()
    def pixels(self, images: Tensor) -> NDArray[np.uint8]:
        """The student's input as the teacher's, (N, height, width, 3)."""
        ours, theirs = self._ours, self._theirs
        mean, scale = (images.new_tensor(one)[:, None, None] for one in (ours.mean, ours.scale))
        pixels = images.float() * scale + mean
        if ours.colour_order == "BGR":
            pixels = pixels.flip(1)
        size = (theirs.height, theirs.width)
        if pixels.shape[2:] != size:
            pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
        crops: NDArray[np.uint8] = (
            pixels.round().clamp(0, 255).to("cpu", torch.uint8).permute(0, 2, 3, 1).numpy()
        )
        return crops

    def embed_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings, (N, D); on the processor none depends on which others are beside it."""
        if isinstance(self._embedder, TorchEmbedder):
            return self._embedder.embed(crops)
        one_by_one: Iterator[NDArray[np.uint8]] = (crop[None] for crop in crops)
        return np.concatenate(list(map_ordered(self._embedder.embed, one_by_one)))

    def kept_of(
        self, stills: Stills, positions: NDArray[np.int64], cache: Path
    ) -> tuple[Tensor, Tensor]:
        """Embeddings of some images of a set, at most ``BLOCK``, (M, D), and their labels, (M,)."""
        parts = list(stills.at(positions))
        self._run_on(parts[0][0].device)
        crops = np.concatenate([self.pixels(images) for images, _ in parts])
        return torch.from_numpy(self.kept(crops, cache)), torch.cat([own for _, own in parts])

    def kept(self, crops: NDArray[np.uint8], cache: Path) -> NDArray[np.float32]:
        """Embeddings from a file named after teacher and crops; computed and kept if missing."""
        made_by = f"{VERSION} {self._engine} {self._embedder.model.id}"
        key = hashlib.sha256(f"{made_by} {crops.shape}".encode())
        key.update(np.ascontiguousarray(crops).data)
        file = cache / f"taught-{key.hexdigest()[:32]}.npy"
        try:
            rows: NDArray[np.float32] = np.load(file, allow_pickle=False)
            if rows.shape == (len(crops), self.embedding_size):
                return rows
        except (OSError, ValueError, EOFError):  # none, or damaged: computed
            pass
        rows = self.embed_crops(crops)
        held = io.BytesIO()
        np.save(held, rows, allow_pickle=False)
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        atomic_write(file, held.getvalue())
        return rows

    def _run_on(self, device: torch.device) -> None:
        if isinstance(self._embedder, TorchEmbedder):
            self._embedder.net.to(device)


class TorchEmbedder(Embedder):
    """A model file run by torch, where its net is put.

    Args:
        model: the file.
        name: of the model, as the user named it.

    Raises:
        TrainingError: its weights are of no backbone here.
    """

    def __init__(self, model: ModelFile, name: str) -> None:
        weights = read_weights(name)
        backbone = backbone_of(name, weights)
        if backbone is None:
            raise config_error(
                f"the teacher {name} is no backbone of faceverify's, and torch cannot run it",
                "leave out method.engine: ONNX Runtime runs any model file",
            )
        self.model = model
        with torch.random.fork_rng(devices=[]):  # the student's first weights are the same
            self.net = built(backbone, weights)
        self.net.load_state_dict(fitted(weights, self.net)[0], strict=False)
        self.net.eval()

    @torch.inference_mode()
    def run(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :meth:`Embedder.run`."""
        weight = next(self.net.parameters())
        parts = (planes[start : start + BATCH] for start in range(0, len(planes), BATCH))
        with exact(weight):  # also beside a student in bfloat16
            return np.concatenate(
                [self.net(torch.from_numpy(part).to(weight.device)).cpu().numpy() for part in parts]
            )


def same_frame(first: Contract, second: Contract) -> bool:
    """Whether crops of two contracts show the same part of a face, be it at other sizes."""
    one, other = first.alignment, second.alignment
    if not isinstance(one, FivePoints) or not isinstance(other, FivePoints):
        return one.as_dict() == other.as_dict()
    sides = [np.array([[each.width, each.height]]) for each in (first, second)]
    return np.allclose(one.points / sides[0], other.points / sides[1], atol=0.005)
