"""People and photos at once: a loss of names plus a weighted method that reads none.

Islam et al. 2021, https://arxiv.org/abs/2103.13517: cross-entropy, or SupCon, plus lambda times
the contrastive loss without names (CE + SelfSupCon, SupCon + SelfSupCon). Here either half may be
any other of its kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from faceverify.runtime.progress import ShowProgress
from faceverify.training.config.fields import config_error
from faceverify.training.data.loading.source import Stills
from faceverify.training.data.views import Batch
from faceverify.training.distributed.collectives import process_count, sum_over_processes
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method
from faceverify.training.optim.view_encoder import Embed


class Joined(Method):
    """Loss of a method with names plus a weight times that of one without, of one embedding.

    The backbone embeds each view once. The method with names sees every whole view that the other
    one embeds, each with its image's label: SupCon is defined over both views of each image (Khosla
    et al. 2020, eq. 2), and to a loss of classes the second view is one more image of the person.
    Where the other embeds none as it is (it turns or cuts its photos), the first one is added.

    Args:
        named: learns people.
        unnamed: learns without names.
        weight: lambda, of the latter's loss.
    """

    needs_labels: ClassVar[bool] = True
    separates_nobody: ClassVar[bool] = False
    learns_by_loss: ClassVar[bool] = True
    collapse: ClassVar[str] = ""  # names keep the embeddings apart

    def __init__(self, named: Method, unnamed: Method, *, weight: float) -> None:
        super().__init__()
        require(weight > 0, "joined.weight", weight, "above 0")
        self.named, self.unnamed, self.weight = named, unnamed, weight
        self._terms = torch.zeros(2)

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        first = batch.views[0]
        seen: list[tuple[Tensor, Tensor]] = []  # whole views and their embeddings

        def shared(views: Sequence[Tensor], **options: Any) -> list[Tensor]:
            beside = [] if any(view is first for view in views) else [first]
            rows = embed([*beside, *views], **options)
            whole = {id(view) for view in batch.views if view.shape == first.shape}
            pairs = zip([*beside, *views], rows, strict=False)  # feature maps may come after them
            seen.extend(pair for pair in pairs if id(pair[0]) in whole)
            return rows[len(beside) :]

        unnamed = self.unnamed(shared, batch)
        views, rows = zip(*seen, strict=True)
        together = torch.cat(rows)
        named = self.named(lambda _: [together], stacked(batch, views))
        self._terms = torch.stack([named.detach(), unnamed.detach()])
        value: Tensor = named + self.weight * unnamed
        return value

    def prepare(self, stills: Stills | None, cache: Path, show_progress: ShowProgress) -> None:
        """See :meth:`Method.prepare`."""
        self.named.prepare(stills, cache, show_progress)
        self.unnamed.prepare(stills, cache, show_progress)

    def begin_step(self, step: int, total: int) -> None:
        """See :meth:`Method.begin_step`."""
        self.named.begin_step(step, total)
        self.unnamed.begin_step(step, total)

    def finish_step(self, backbone: nn.Module) -> None:
        """See :meth:`Method.finish_step`."""
        self.named.finish_step(backbone)
        self.unnamed.finish_step(backbone)

    def signs(self) -> dict[str, float]:
        """See :meth:`Method.signs`: the two losses, without the weight, and the other's signs."""
        named, unnamed = (sum_over_processes(self._terms) / process_count()).tolist()
        return {"loss_named": named, "loss_unnamed": unnamed, **self.unnamed.signs()}


def stacked(batch: Batch, views: Sequence[Tensor]) -> Batch:
    """Views of a batch as one view of as many times its images, with their labels."""
    times = len(views)
    return Batch(
        [views[0] if times == 1 else torch.cat(tuple(views))],
        batch.labels.repeat(times),
        np.tile(batch.indices, times),
        np.tile(batch.keys, times),
    )


def joined_class(name: str, named: type[Method], unnamed: type[Method]) -> type[Joined]:
    """Class of two methods together, with what the one without names wants of loader and batch.

    Args:
        name: of the method without names.
        named, unnamed: the two.

    Raises:
        TrainingError: the two cannot be joined.
    """
    if not named.learns_by_loss:
        raise config_error(
            "joined.name adds a method without names to a loss of people, and this run has no loss",
            "use `faceverify train --loss NAME --with NAME`",
        )
    if unnamed.learns_by_loss:
        raise config_error(
            f"joined.name is {name!r}, which learns names itself",
            "join a method of `faceverify pretrain --methods`",
        )
    if not unnamed.embeds_images:
        raise config_error(
            f"method {name} embeds parts of images, and a loss of people whole ones",
            "pre-train with it, and go on with `faceverify train --init`",
        )
    wanted: dict[str, object] = {
        key: getattr(unnamed, key) for key in Method.__annotations__ if key not in vars(Joined)
    }
    wanted["looks_at_people"] = named.looks_at_people or unnamed.looks_at_people
    return type(Joined.__name__, (Joined,), wanted)
