"""Distillation: the embeddings of a model, and how they lie to each other, learned without names.

Relations: Park et al. 2019, Relational knowledge distillation, https://arxiv.org/abs/1904.05068,
eq. 5 to 7. The teacher sees the augmented view that the student sees (Beyer et al. 2022,
https://arxiv.org/abs/2106.05237, section 3).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceverify.faces.alignment import FivePoints
from faceverify.models.contract import Contract
from faceverify.models.embedder import Embedder
from faceverify.models.model_file import load_model_file
from faceverify.models.registry import find_model
from faceverify.runtime.parallel import map_ordered
from faceverify.training.config.fields import config_error
from faceverify.training.data.views import Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.optim.view_encoder import Embed

AT_ONCE = 16  # images that the teacher embeds on one processor


class Distillation(Method):
    """1 - cosine to the teacher's embedding, and the difference of the distances in the batch.

    The teacher runs in ONNX Runtime. Where its embeddings are as long as the student's, the student
    gives the teacher's; else a linear layer between them is learned and left behind.

    Args:
        teacher: a model by its name, or a model file.
        cosine: weight of the first term.
        relation: weight of the second.
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
    ) -> None:
        super().__init__()
        require(cosine >= 0, "method.cosine", cosine, "at least 0")
        require(relation >= 0, "method.relation", relation, "at least 0")
        require(
            cosine + relation > 0, "method.cosine and method.relation", 0, "above 0, one of them"
        )
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
        self.cosine, self.relation = cosine, relation
        same = theirs.embedding_size == embedding_size
        self.bridge = nn.Identity() if same else nn.Linear(embedding_size, theirs.embedding_size)

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        (rows,) = gathered(embed(batch.views))  # (N, D)
        (targets,) = gathered([self.taught(batch.views[0])])  # (N, D of the teacher)
        with exact(rows):
            student = self.bridge(rows)
            apart = (1 - F.cosine_similarity(student, targets, dim=1)).mean()
            return self.cosine * apart + self.relation * relations_apart(student, targets)

    @torch.no_grad()
    def taught(self, images: Tensor) -> Tensor:
        """The teacher's embeddings of the student's input, (N, D), on its device."""
        ours, theirs = self._contract, self._teacher.model.contract
        mean, scale = (images.new_tensor(one)[:, None, None] for one in (ours.mean, ours.scale))
        pixels = images.float() * scale + mean
        if ours.colour_order == "BGR":
            pixels = pixels.flip(1)
        size = (theirs.height, theirs.width)
        if pixels.shape[2:] != size:
            pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
        crops = pixels.round().clamp(0, 255).to("cpu", torch.uint8).permute(0, 2, 3, 1)
        parts = [part.numpy() for part in torch.split(crops, AT_ONCE)]
        rows = np.concatenate(list(map_ordered(self._teacher.embed, parts)))
        return torch.from_numpy(rows).to(images.device)


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
