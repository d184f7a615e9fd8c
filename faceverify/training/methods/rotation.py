"""RotNet: by which of four angles a photo is turned: https://arxiv.org/abs/1803.07728, eq. 2-3."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from faceverify.models.contract import Contract
from faceverify.training.config.fields import config_error
from faceverify.training.data.views import Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, mean_of_all
from faceverify.training.methods.parts.heads import mlp
from faceverify.training.optim.view_encoder import Embed

TURNS = 4  # by 0, 90, 180 and 270 degrees


class Rotation(Method):
    """Mean cross-entropy of the four turns of each photo, all in one batch (section 3.1).

    Args:
        hidden: width of the classifier, a perceptron that is left behind.
    """

    views: ClassVar[Views] = Views(1)
    compares_images: ClassVar[bool] = False
    collapse: ClassVar[str] = (
        "usual causes: the turns are told apart and nothing else, as upright faces make easy: the "
        "embedding of every upright photo is the same; stop earlier, or use another method"
    )

    def __init__(self, *, embedding_size: int, contract: Contract, hidden: int = 256) -> None:
        super().__init__()
        require(hidden > 0, "method.hidden", hidden, "at least 1")
        if contract.width != contract.height:
            raise config_error(
                f"method rotation turns crops by 90 degrees, and those of this backbone are "
                f"{contract.width} x {contract.height}",
                "use one with square crops",
            )
        self.classifier = mlp((embedding_size, hidden, TURNS), norm=False)
        self._right = torch.zeros(0)

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`; of the images of this process, as each is by itself."""
        (images,) = batch.views
        turns = [torch.rot90(images, quarters, (2, 3)) for quarters in range(1, TURNS)]
        rows = torch.cat(embed([images, *turns]))  # (4 N, D)
        turned = torch.arange(TURNS, device=rows.device).repeat_interleave(len(images))  # (4 N,)
        with exact(rows):
            logits = self.classifier(rows.float())  # (4 N, 4)
            self._right = logits.argmax(dim=1) == turned
            return F.cross_entropy(logits, turned)

    def signs(self) -> dict[str, float]:
        """See :meth:`Method.signs`: the share of turns that are told; by chance, a fourth."""
        return {"pretext_accuracy": mean_of_all(self._right)}
