"""Context: where a patch lies around another: https://arxiv.org/abs/1505.05192, section 3."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceverify.models.contract import Contract
from faceverify.training.data.loading.counter_rng import draws_of
from faceverify.training.data.views import Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, mean_of_all
from faceverify.training.methods.parts.heads import mlp
from faceverify.training.methods.parts.tiles import AROUND, CENTRE, make_grid
from faceverify.training.optim.view_encoder import Embed


class Context(Method):
    """Cross-entropy of the eight places of a patch around the middle one, both embedded alone.

    Edges that run on from patch to patch would give the place away, and so would the colour fringes
    of a lens: hence a gap between the patches, a jitter, and patches of a single colour channel
    (section 3.1; the other two are the mean colour here, without the paper's noise). The backbone
    is to embed photos in colour, so some patches keep it.

    Args:
        tile: side of a patch over that of a cell, a third of the photo; the rest is the gap.
        jitter: how far a patch is moved, over the side of a cell.
        dropped: share of the patches with a single colour channel; the paper has all.
        hidden: width of the classifier of two embeddings, which is left behind.
    """

    views: ClassVar[Views] = Views(1)
    compares_images: ClassVar[bool] = False
    collapse: ClassVar[str] = (
        "usual causes: where a part of a face lies is told from what part it is, which is the same "
        "for all people: the embedding of every nose is the same; stop earlier, or use another "
        "method"
    )

    def __init__(
        self,
        *,
        embedding_size: int,
        backbone: nn.Module,
        contract: Contract,
        tile: float = 0.65,
        jitter: float = 0.05,
        dropped: float = 0.5,
        hidden: int = 256,
    ) -> None:
        super().__init__()
        require(0 <= dropped <= 1, "method.dropped", dropped, "in 0 to 1")
        require(hidden > 0, "method.hidden", hidden, "at least 1")
        self.grid = make_grid("context", contract, backbone, tile=tile, jitter=jitter)
        self.dropped = dropped
        self.classifier = mlp((2 * embedding_size, hidden, len(AROUND)), norm=False)
        self._right = torch.zeros(0)

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`; of the images of this process, as each is by itself."""
        (images,) = batch.views
        draws = draws_of(batch.keys, 9)
        drawn = np.floor(len(AROUND) * draws[:, 0]).astype(np.int64)  # (N,)
        cells = np.stack([np.full_like(drawn, CENTRE), np.array(AROUND)[drawn]], axis=1)
        patches = self.grid.tiles(images, cells, draws[:, 1:5].reshape(-1, 2, 2))
        patches = [
            without_colours(patch, draws[:, 5 + 2 * which : 7 + 2 * which], self.dropped)
            for which, patch in enumerate(patches)
        ]
        rows = torch.cat(embed(patches), dim=1)  # (N, 2 D)
        place = torch.from_numpy(drawn).to(rows.device)
        with exact(rows):
            logits = self.classifier(rows.float())  # (N, 8)
            self._right = logits.argmax(dim=1) == place
            return F.cross_entropy(logits, place)

    def signs(self) -> dict[str, float]:
        """See :meth:`Method.signs`: the share of places that are told; by chance, an eighth."""
        return {"pretext_accuracy": mean_of_all(self._right)}


def without_colours(patches: Tensor, draws: NDArray[np.float64], share: float) -> Tensor:
    """Patches, a share of them with one of three channels and 0, the mean, in the other two.

    Args:
        patches: (N, 3, S, S).
        draws: random numbers in [0, 1), of whether and of which channel, (N, 2).
        share: of the patches.
    """
    kept = np.floor(3 * draws[:, 1:]) == np.arange(3)  # (N, 3)
    kept |= draws[:, :1] >= share
    return patches * torch.from_numpy(kept).to(patches)[:, :, None, None]
