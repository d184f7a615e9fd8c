"""Distillation: the embeddings of a model, and how they lie to each other, learned without names.

Relations: Park et al. 2019, Relational knowledge distillation, https://arxiv.org/abs/1904.05068,
eq. 5 to 7.

A teacher costs more than its student learns from it: SFace takes about as long for an embedding as
a step of MobileFaceNet for an image. So by default it embeds each photo once, as it is, before the
first step, and the student learns that embedding from views of the photo. Beyer et al. 2022
(https://arxiv.org/abs/2106.05237, section 3) show it each view, which is better in very long runs.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceverify.faces.alignment import FivePoints
from faceverify.models.contract import Contract
from faceverify.models.embedder import Embedder
from faceverify.models.model_file import load_model_file
from faceverify.models.registry import find_model
from faceverify.runtime.files import atomic_write
from faceverify.runtime.parallel import map_ordered
from faceverify.runtime.progress import ShowProgress
from faceverify.training.config.fields import config_error
from faceverify.training.data.loading.source import Stills
from faceverify.training.data.views import Batch, Views
from faceverify.training.distributed.collectives import own_shard, sum_over_processes
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.optim.view_encoder import Embed

SHOWN = ("photos", "views")
VERSION = 1  # of the embeddings; a new one for another computation of them
BLOCK = 256  # photos whose embeddings are one file of the cache


class Distillation(Method):
    """1 - cosine to the teacher's embedding, and the difference of the distances in the batch.

    The teacher runs in ONNX Runtime. Where its embeddings are as long as the student's, the student
    gives the teacher's; else a linear layer between them is learned and left behind.

    Args:
        teacher: a model by its name, or a model file.
        cosine: weight of the first term.
        relation: weight of the second.
        shown: what the teacher sees: "photos", each once, before the first step; or "views", each
            as the student sees it. Of a stream it sees the views.
    """

    views: ClassVar[Views] = Views(1)
    separates_nobody: ClassVar[bool] = False
    collapse: ClassVar[str] = (
        "usual causes: too high a learning rate, or a teacher that is itself so; try a lower "
        "--learning-rate"
    )

    def __init__(
        self,
        *,
        embedding_size: int,
        contract: Contract,
        teacher: str = "",
        cosine: float = 1.0,
        relation: float = 1.0,
        shown: str = "photos",
    ) -> None:
        super().__init__()
        require(cosine >= 0, "method.cosine", cosine, "at least 0")
        require(relation >= 0, "method.relation", relation, "at least 0")
        require(
            cosine + relation > 0, "method.cosine and method.relation", 0, "above 0, one of them"
        )
        if shown not in SHOWN:
            raise config_error(f"method.shown is {shown!r}, not one of {', '.join(SHOWN)}")
        if not teacher:
            raise config_error("method distil learns from a model", "give --teacher MODEL")
        self._teacher = Embedder(load_model_file(find_model(teacher), teacher))
        theirs = self._teacher.model.contract
        if not same_frame(theirs, contract):
            raise config_error(
                f"the teacher {teacher} sees crops of another alignment than the student",
                "cut the crops as it wants them, `faceverify align --alignment`, and name it: "
                "--set data.alignment=NAME",
            )
        self._contract = contract
        self._shown = shown
        self._known: Tensor | None = None  # (photos, D of the teacher)
        self.cosine, self.relation = cosine, relation
        same = theirs.embedding_size == embedding_size
        self.bridge = nn.Identity() if same else nn.Linear(embedding_size, theirs.embedding_size)

    def prepare(self, stills: Stills | None, cache: Path, show_progress: ShowProgress) -> None:
        """Embed all photos, or read what an earlier run has kept of them."""
        if stills is None or self._shown == "views":
            return
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        count = len(stills.labels)
        own = own_shard(count)
        known = torch.zeros(count, self._teacher.model.contract.embedding_size)
        starts = range(own.start, own.stop, BLOCK)
        for start in show_progress(starts, "embedding by the teacher once", len(starts)):
            positions = np.arange(start, min(start + BLOCK, own.stop))
            crops = np.concatenate([self._pixels(images) for images, _ in stills.at(positions)])
            known[positions] = torch.from_numpy(self._kept(crops, cache))
        self._known = sum_over_processes(known)

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        (rows,) = gathered(embed(batch.views))  # (N, D)
        (targets,) = gathered([self._targets(batch)])  # (N, D of the teacher)
        with exact(rows):
            student = self.bridge(rows)
            apart = (1 - F.cosine_similarity(student, targets, dim=1)).mean()
            return self.cosine * apart + self.relation * relations_apart(student, targets)

    def _targets(self, batch: Batch) -> Tensor:
        images = batch.views[0]
        if self._known is None:
            return self.taught(images)
        return self._known[torch.from_numpy(batch.indices)].to(images.device)

    def taught(self, images: Tensor) -> Tensor:
        """The teacher's embeddings of the student's input, (N, D), on its device."""
        return torch.from_numpy(self._embedded(self._pixels(images))).to(images.device)

    @torch.no_grad()
    def _pixels(self, images: Tensor) -> NDArray[np.uint8]:
        """The student's input as the teacher's, (N, height, width, 3)."""
        ours, theirs = self._contract, self._teacher.model.contract
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

    def _embedded(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings, one crop at a time: none depends on which others are beside it, (N, D)."""
        one_by_one: Iterator[NDArray[np.uint8]] = (crop[None] for crop in crops)
        return np.concatenate(list(map_ordered(self._teacher.embed, one_by_one)))

    def _kept(self, crops: NDArray[np.uint8], cache: Path) -> NDArray[np.float32]:
        """Embeddings from a file named after teacher and crops; computed and kept if missing."""
        key = hashlib.sha256(f"{VERSION} {self._teacher.model.id} {crops.shape}".encode())
        key.update(np.ascontiguousarray(crops).data)
        file = cache / f"taught-{key.hexdigest()[:32]}.npy"
        try:
            rows: NDArray[np.float32] = np.load(file, allow_pickle=False)
            if rows.shape == (len(crops), self._teacher.model.contract.embedding_size):
                return rows
        except (OSError, ValueError, EOFError):  # none, or damaged: computed
            pass
        rows = self._embedded(crops)
        held = io.BytesIO()
        np.save(held, rows, allow_pickle=False)
        atomic_write(file, held.getvalue())
        return rows


def same_frame(first: Contract, second: Contract) -> bool:
    """Whether crops of two contracts show the same part of a face, be it at other sizes."""
    one, other = first.alignment, second.alignment
    if not isinstance(one, FivePoints) or not isinstance(other, FivePoints):
        return one.as_dict() == other.as_dict()
    sides = [np.array([[each.width, each.height]]) for each in (first, second)]
    return np.allclose(one.points / sides[0], other.points / sides[1], atol=0.005)


def relations_apart(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean Huber loss of the distances of all pairs, each over the mean distance, ().

    Args:
        student, teacher: embeddings of N images, (N, D) each; of any length.
    """
    own, wanted = (
        torch.pdist(F.normalize(rows, dim=1)) for rows in (student, teacher)
    )  # (N (N - 1) / 2,)
    own, wanted = (one / one.mean().clamp(min=1e-12) for one in (own, wanted))
    return F.smooth_l1_loss(own, wanted)
