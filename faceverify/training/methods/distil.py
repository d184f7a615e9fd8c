"""Distillation: the embeddings of a model, and how they lie to each other, learned without names.

Relations: Park et al. 2019, Relational knowledge distillation, https://arxiv.org/abs/1904.05068,
eq. 5 to 7.

A teacher costs more than its student learns from it: SFace takes about as long for an embedding as
a step of MobileFaceNet for an image. So by default it embeds each photo once, as it is, before the
first step, and the student learns that embedding from views of the photo. Beyer et al. 2022
(https://arxiv.org/abs/2106.05237, section 3) show it each view, which is better in very long runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceverify.models.contract import Contract
from faceverify.runtime.progress import ShowProgress
from faceverify.training.config.fields import config_error
from faceverify.training.data.loading.source import Stills
from faceverify.training.data.views import Batch, Views
from faceverify.training.distributed.collectives import own_shard, sum_over_processes
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.methods.parts.teacher_model import BLOCK, TeacherModel
from faceverify.training.optim.view_encoder import Embed

SHOWN = ("photos", "views")


class Distillation(Method):
    """1 - cosine to the teacher's embedding, and the difference of the distances in the batch.

    Where the teacher's embeddings are as long as the student's, the student
    gives the teacher's; else a linear layer between them is learned and left behind.

    Args:
        teacher: a model by its name, a model file, or the folder of a run.
        cosine: weight of the first term.
        relation: weight of the second.
        shown: what the teacher sees: "photos", each once, before the first step; or "views", each
            as the student sees it. Of a stream it sees the views.
        engine: that runs the teacher: "onnxruntime", on the processor; or "torch", on the device of
            the student, for teachers that are a backbone of faceverify's.
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
        engine: str = "onnxruntime",
    ) -> None:
        super().__init__()
        require(cosine >= 0, "method.cosine", cosine, "at least 0")
        require(relation >= 0, "method.relation", relation, "at least 0")
        require(
            cosine + relation > 0, "method.cosine and method.relation", 0, "above 0, one of them"
        )
        if shown not in SHOWN:
            raise config_error(f"method.shown is {shown!r}, not one of {', '.join(SHOWN)}")
        self._teacher = TeacherModel(teacher, contract, method="distil", engine=engine)
        self._shown = shown
        self._known: Tensor | None = None  # (photos, D of the teacher)
        self.cosine, self.relation = cosine, relation
        theirs = self._teacher.embedding_size
        same = theirs == embedding_size
        self.bridge = nn.Identity() if same else nn.Linear(embedding_size, theirs)

    def prepare(self, stills: Stills | None, cache: Path, show_progress: ShowProgress) -> None:
        """Embed all photos, or read what an earlier run has kept of them."""
        if stills is None or self._shown == "views":
            return
        count = len(stills.labels)
        own = own_shard(count)
        known = torch.zeros(count, self._teacher.embedding_size)
        starts = range(own.start, own.stop, BLOCK)
        for start in show_progress(starts, "embedding by the teacher once", len(starts)):
            positions = np.arange(start, min(start + BLOCK, own.stop))
            known[positions], _ = self._teacher.kept_of(stills, positions, cache)
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
            return self._teacher.embed(images)
        return self._known[torch.from_numpy(batch.indices)].to(images.device)


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
