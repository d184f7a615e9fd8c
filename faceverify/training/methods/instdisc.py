"""Instance discrimination: each image a class of its own: https://arxiv.org/abs/1805.01978.

Noise-contrastive estimation against a memory bank, eq. 4 to 7; proximal term, eq. 9 and 10.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from faceverify.training.data.loading.counter_rng import draws_of
from faceverify.training.data.views import Batch, Views
from faceverify.training.distributed.collectives import gather_rows, process_count
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.methods.parts.memory_bank import MemoryBank
from faceverify.training.optim.view_encoder import Embed

FIRST_BATCHES = 10  # that Z is estimated from


class InstanceDiscrimination(Method):
    """Telling an image's own row of a memory bank from rows drawn at random.

    The embedding itself is compared, without a projector. The random rows are the same for all
    images of a batch. Z is estimated from the cosines of the first batches, and constant from then
    on (section 3.2).

    Args:
        temperature: tau, divides the cosines.
        noise: rows drawn of the bank for a batch, m.
        proximal: lambda, weight of the squared distance from the image's row.
        bank_momentum: share of a row that stays when its image is seen: 0 in the paper, 0.5 in the
            authors' code.
    """

    views: ClassVar[Views] = Views(1)
    remembers_images: ClassVar[bool] = True
    collapse: ClassVar[str] = (
        "usual causes: too high a learning rate, too few random rows; try a lower "
        "--learning-rate, a larger --set method.noise"
    )

    log_partition: Tensor

    def __init__(
        self,
        *,
        embedding_size: int,
        images: int,
        temperature: float = 0.07,
        noise: int = 4096,
        proximal: float = 10.0,
        bank_momentum: float = 0.5,
    ) -> None:
        super().__init__()
        require(temperature > 0, "method.temperature", temperature, "above 0")
        require(noise > 0, "method.noise", noise, "at least 1")
        require(proximal >= 0, "method.proximal", proximal, "at least 0")
        require(0 <= bank_momentum < 1, "method.bank_momentum", bank_momentum, "in 0 to below 1")
        self.temperature, self.noise = temperature, noise
        self.proximal, self.bank_momentum = proximal, bank_momentum
        self.bank = MemoryBank(images, embedding_size)
        self.register_buffer("log_partition", torch.zeros(()))  # log of Z / n
        self._step, self._indices = 0, torch.zeros(0, dtype=torch.int64)
        self._embedded = torch.zeros(0, embedding_size)

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        (rows,) = gathered(embed(batch.views))  # (N, D)
        self._indices = gather_rows(torch.from_numpy(batch.indices).to(rows.device))
        with exact(rows):
            unit = F.normalize(rows, dim=1)
            self._embedded = unit.detach()
            own = self.bank.rows[self._indices]  # (N, D)
            drawn = self.bank.rows[self.drawn(batch).to(rows.device)]  # (m, D)
            others = unit @ drawn.T / self.temperature  # (N, m)
            if self._step < FIRST_BATCHES:
                self._estimate(others.detach())
            loss = contrasted(
                (unit * own).sum(dim=1) / self.temperature, others, self.log_partition.clone()
            )
            return loss + self.proximal * (unit - own).square().sum(dim=1).mean()

    def drawn(self, batch: Batch) -> Tensor:
        """Rows of the bank that the batch of all processes is told from, any of them, (m,)."""
        images = len(batch) * process_count()
        draws = torch.from_numpy(draws_of(batch.keys, -(-self.noise // images)))
        places = (draws * len(self.bank.rows)).long().to(self._indices.device)
        return gather_rows(places).flatten()[: self.noise]

    def _estimate(self, logits: Tensor) -> None:
        """Take a batch into the mean of exp(logits), which is Z / n (eq. 8)."""
        mean = logits.flatten().logsumexp(dim=0) - math.log(logits.numel())
        if self._step:
            before = self.log_partition + math.log(self._step)
            mean = torch.logaddexp(before, mean) - math.log(self._step + 1)
        self.log_partition.copy_(mean)

    def begin_step(self, step: int, total: int) -> None:
        """See :meth:`Method.begin_step`."""
        self._step = step

    def finish_step(self, backbone: torch.nn.Module) -> None:
        """See :meth:`Method.finish_step`."""
        self.bank.update(self._indices, self._embedded, momentum=self.bank_momentum)


def contrasted(own: Tensor, others: Tensor, log_partition: Tensor) -> Tensor:
    """Noise-contrastive loss, mean over the images, (): eq. 6 and 7.

    With P = exp(logit) / Z and uniform noise of m draws, h = P / (P + m / n) is the logistic
    function of logit - log(m Z / n).

    Args:
        own: logits of N images and their own rows, (N,).
        others: logits of them and m rows drawn at random, (N, m).
        log_partition: log(Z / n), ().
    """
    level = log_partition + math.log(others.shape[1])
    return (F.softplus(level - own) + F.softplus(others - level).sum(dim=1)).mean()
