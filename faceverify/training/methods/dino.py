"""DINO: self-distillation over crops of several sizes: https://arxiv.org/abs/2104.14294, alg. 1."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceverify.training.data.views import LESS_BLURRED, Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.methods.parts.heads import mlp
from faceverify.training.methods.parts.prototypes import Prototypes
from faceverify.training.methods.parts.teacher import Teacher, rising
from faceverify.training.optim.view_encoder import Embed


class DINO(Method):
    """Cross-entropy of the teacher's output for a large view and the student's for any other one.

    The teacher's output is centred, against one prototype for all, and sharpened, against all
    prototypes alike (section 3.1). The centre begins at the mean of the first batch: from 0, as in
    the authors' code, the student first learns the prototype that all photos happen to be near.

    Args:
        prototypes: numbers in the output, K.
        momentum: of the teacher at the first step; it rises to 1.
        temperature: of the student.
        teacher_temperature: of the teacher, after its warm-up.
        first_teacher_temperature: of the teacher at the first step.
        teacher_warm_up: share of the run over which the teacher's temperature changes.
        centre_momentum: of the mean output that is subtracted from the teacher's.
        fixed: share of the run at whose beginning the prototypes stay as they are.
        projection: numbers that prototypes are compared with.
        hidden: width of the projector.
    """

    views: ClassVar[Views] = Views(2, second=LESS_BLURRED, local=4)
    embeds_whole_views: ClassVar[bool] = False
    collapse: ClassVar[str] = (
        "usual causes: too high a learning rate, a teacher that is too soft (its output is the "
        "same for all photos: the loss stands at log K) or follows too fast; try a lower "
        "--learning-rate, --set method.teacher_temperature=0.03, a larger --batch-size"
    )

    centre: Tensor

    def __init__(
        self,
        *,
        embedding_size: int,
        backbone: nn.Module,
        prototypes: int = 1024,
        momentum: float = 0.99,
        temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        first_teacher_temperature: float = 0.04,
        teacher_warm_up: float = 0.1,
        centre_momentum: float = 0.9,
        fixed: float = 0.02,
        projection: int = 256,
        hidden: int = 512,
    ) -> None:
        super().__init__()
        for name, share in (
            ("momentum", momentum),
            ("centre_momentum", centre_momentum),
            ("teacher_warm_up", teacher_warm_up),
        ):
            require(0 <= share <= 1, f"method.{name}", share, "in 0 to 1")
        for name, heat in (
            ("temperature", temperature),
            ("teacher_temperature", teacher_temperature),
            ("first_teacher_temperature", first_teacher_temperature),
        ):
            require(heat > 0, f"method.{name}", heat, "above 0")
        require(projection > 0, "method.projection", projection, "at least 1")
        require(hidden > 0, "method.hidden", hidden, "at least 1")
        self.first_momentum = self.momentum = momentum
        self.temperature = temperature
        self.heats = first_teacher_temperature, teacher_temperature
        self.teacher_temperature, self.teacher_warm_up = first_teacher_temperature, teacher_warm_up
        self.centre_momentum = centre_momentum
        self.prototypes = Prototypes(prototypes, projection, fixed=fixed)
        self.heads = nn.Sequential(
            mlp((embedding_size, hidden, hidden, projection), norm=False), self.prototypes
        )
        self.teacher = Teacher(backbone, self.heads)
        self.register_buffer("centre", torch.zeros(prototypes))
        self._outputs = torch.zeros(0, prototypes)  # of the teacher, in this step
        self._begins = False

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        seen = gathered(self.teacher.embed(batch.views[: self.views.number]))
        rows = gathered(embed(batch.views))  # of each view (N, D)
        with exact(rows[0]):
            student = [self.heads(view) for view in rows]  # (N, K) each
            outputs = [self.teacher.heads(view).detach() for view in seen]
            self._outputs = torch.cat(outputs)
            if self._begins:
                self.centre.copy_(self._outputs.mean(dim=0))
            targets = [self.sharpened(one) for one in outputs]
            return cross_entropy(targets, [one / self.temperature for one in student])

    def sharpened(self, outputs: Tensor) -> Tensor:
        """Probabilities of the teacher's outputs, centred and sharpened, (N, K)."""
        return F.softmax((outputs - self.centre) / self.teacher_temperature, dim=1)

    def begin_step(self, step: int, total: int) -> None:
        """See :meth:`Method.begin_step`."""
        self.momentum = rising(self.first_momentum, step, total)
        self._begins = step == 0
        warm_up = self.teacher_warm_up * total
        share = min(1.0, step / warm_up) if warm_up else 1.0
        self.teacher_temperature = self.heats[0] + share * (self.heats[1] - self.heats[0])
        self.prototypes.begin_step(step, total)

    def finish_step(self, backbone: nn.Module) -> None:
        """See :meth:`Method.finish_step`."""
        self.teacher.follow(backbone, self.heads, self.momentum)
        self.centre.lerp_(self._outputs.mean(dim=0), 1 - self.centre_momentum)

    def signs(self) -> dict[str, float]:
        """See :meth:`Method.signs`: entropy of the teacher's output, and what it tells, in nats."""
        shares = self.sharpened(self._outputs).cpu().double()
        each = torch.special.entr(shares).sum(dim=1).mean()
        mean = torch.special.entr(shares.mean(dim=0)).sum()
        return {"teacher_entropy": float(each), "teacher_information": float(mean - each)}


def cross_entropy(targets: list[Tensor], logits: list[Tensor]) -> Tensor:
    """Mean cross-entropy over pairs of a target and another view, ().

    Args:
        targets: probabilities of the first views, (N, K) each.
        logits: of all views, in the same order, (N, K) each.
    """
    losses = [
        -(target * F.log_softmax(view, dim=1)).sum(dim=1).mean()
        for first, target in enumerate(targets)
        for second, view in enumerate(logits)
        if first != second
    ]
    return torch.stack(losses).mean()
