"""Soft targets, with names: labels, and a teacher's softened opinion of each image.

Hinton et al. 2015, Distilling the knowledge in a neural network, https://arxiv.org/abs/1503.02531,
section 2.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceverify.models.contract import Contract
from faceverify.runtime.progress import ShowProgress
from faceverify.training.config.fields import config_error
from faceverify.training.data.loading.source import Stills, some_of_each
from faceverify.training.data.views import Batch
from faceverify.training.distributed.collectives import (
    gather_batch,
    gather_rows,
    log_sum_exp_over_processes,
    sum_over_processes,
)
from faceverify.training.losses.engine.softmax_engine import SoftmaxEngine
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.loss import Loss, require
from faceverify.training.methods.method import Method, exact
from faceverify.training.methods.parts.teacher_model import BLOCK, TeacherModel
from faceverify.training.optim.view_encoder import Embed

WITHOUT_SCALE = 16.0  # of the teacher's cosines, beside a loss whose logits have none


class SoftTargets(Method):
    """The loss of the labels plus weight T^2 KL(teacher || student), both softened by T.

    The teacher is any model of embeddings: its logits are scale cos(t), t the angle between its
    embedding of the image and its mean embedding of each person, taken before the first step,
    and kept in the checkpoint. Class weights of its own are not used, even of a run of faceverify:
    most models come without, and a run may have held other people out than this one. The scale is
    by default that of the student's loss, so that the divergence is least where the student's
    cosines are the teacher's. The student's logits are those of its loss, without margin.

    Args:
        teacher: a model by its name, a model file, or the folder of a run.
        temperature: T.
        weight: of the divergence.
        scale: of the teacher's cosines; 0: that of the loss, or 16 where it has none.
        of_a_person: images of each person, evenly spread, that the mean embedding is of.
        engine: that runs the teacher, as of :class:`Distillation`.
    """

    needs_labels: ClassVar[bool] = True
    separates_nobody: ClassVar[bool] = False
    learns_by_loss: ClassVar[bool] = True
    looks_at_people: ClassVar[bool] = True
    compares_images: ClassVar[bool] = False  # where a loss does, the sampler tells
    watched: ClassVar[bool] = False
    collapse: ClassVar[str] = ""

    means: Tensor

    def __init__(
        self,
        *,
        contract: Contract,
        loss: Loss,
        teacher: str = "",
        temperature: float = 4.0,
        weight: float = 1.0,
        scale: float = 0.0,
        of_a_person: int = 16,
        engine: str = "onnxruntime",
    ) -> None:
        super().__init__()
        require(temperature > 0, "method.temperature", temperature, "above 0")
        require(weight >= 0, "method.weight", weight, "at least 0")
        require(scale >= 0, "method.scale", scale, "at least 0")
        require(of_a_person > 0, "method.of_a_person", of_a_person, "at least 1")
        classes = next((one for one in loss.modules() if isinstance(one, SoftmaxEngine)), None)
        if classes is None:
            raise config_error(
                "a teacher's opinion is of classes, and this loss has none",
                "use a loss over classes such as softmax or arcface",
            )
        self._teacher = TeacherModel(teacher, contract, method="soft-targets", engine=engine)
        self.loss, self.temperature, self.weight = loss, temperature, weight
        self._of_a_person = of_a_person
        self._own_scale = float(getattr(loss, "scale", 0.0))  # 0: embeddings are not normalised
        self._scale = scale or self._own_scale or WITHOUT_SCALE
        size = (classes.shard.total, self._teacher.embedding_size)
        self.register_buffer("means", torch.zeros(size))

    @property
    def engine(self) -> SoftmaxEngine:
        """The class centres of the loss."""
        return next(one for one in self.loss.modules() if isinstance(one, SoftmaxEngine))

    def prepare(self, stills: Stills | None, cache: Path, show_progress: ShowProgress) -> None:
        """See :meth:`Method.prepare`: the teacher's unit mean embedding of each person."""
        assert stills is not None  # looks_at_people
        shard = self.engine.shard
        sums = torch.zeros_like(self.means)
        some = some_of_each(stills.labels, range(shard.start, shard.stop), self._of_a_person)
        starts = range(0, len(some), BLOCK)
        for start in show_progress(starts, "people embedded by the teacher", len(starts)):
            rows, people = self._teacher.kept_of(stills, some[start : start + BLOCK], cache)
            # another's image stands for a person's where none of theirs can be read
            own = (people >= shard.start) & (people < shard.stop)
            sums.index_add_(0, people[own], rows[own].to(sums))
        self.means.copy_(F.normalize(sum_over_processes(sums), dim=1))

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        (rows,) = embed(batch.views[:1])  # (N, D)
        labelled: Tensor = self.loss(rows, batch.labels)
        taught = gather_rows(self._teacher.embed(batch.views[0]))
        with exact(rows):
            accurate = torch.promote_types(rows.dtype, torch.float32)
            everyone, _ = gather_batch(rows.to(accurate), batch.labels)
            heat = self.temperature
            apart = divergence(
                self._scale * (taught @ self.means.T).to(accurate) / heat,
                self.student_logits(everyone) / heat,
                self.engine,
            )
            return labelled + self.weight * heat**2 * apart

    def student_logits(self, rows: Tensor) -> Tensor:
        """Logits of the loss without margin, for the classes of this process, (N, C)."""
        scaled = self._own_scale * l2_normalize(rows) if self._own_scale else rows
        return self.engine.logits(scaled)

    def begin_step(self, step: int, total: int) -> None:
        """See :meth:`Method.begin_step`."""
        self.loss.begin_step(step, total)

    def finish_step(self, backbone: nn.Module) -> None:
        """See :meth:`Method.finish_step`."""
        self.loss.finish_step()


def divergence(teacher: Tensor, student: Tensor, engine: SoftmaxEngine) -> Tensor:
    """Mean Kullback-Leibler divergence of softmax distributions over all classes, ().

    Args:
        teacher: logits of all classes, (N, C).
        student: logits of the classes of this process, (N, C of the process).
        engine: knows which these are.
    """
    shares = F.softmax(teacher, dim=1)
    own = shares[:, engine.shard.start : engine.shard.stop]
    expected = sum_over_processes((own * student).sum(dim=1))  # (N,)
    log_sum_exp = log_sum_exp_over_processes(student.logsumexp(dim=1))
    entropy = torch.special.entr(shares).sum(dim=1)
    return (log_sum_exp - expected - entropy).mean()
