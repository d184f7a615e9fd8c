"""How the representation of photos without names goes: on photos held out, in two views each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceverify.matching.sphere import alignment, spread_and_rank, uniformity
from faceverify.models.contract import Contract
from faceverify.training.config.schema import Config
from faceverify.training.data.loading.epochs import transform_of
from faceverify.training.data.loading.left_out import LeftOut
from faceverify.training.data.loading.loader import batches, stored_size
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.views import ONE_VIEW, Views
from faceverify.training.optim.freezing import eval_mode
from faceverify.training.optim.precision import Executor

AT_ONCE = 128  # images
RANKED_BY = "effective_rank"  # what chooses the checkpoint where no people are known


@dataclass(frozen=True, eq=False)
class HeldOutPhotos:
    """P photos that are not learned from, ready for the network.

    Args:
        plain: as a model's user shows them, (P, 3, height, width).
        varied: two views of each, augmented as in training, the same at every validation.
    """

    plain: Tensor
    varied: tuple[Tensor, Tensor]


def prepared(
    photos: FaceSet, contract: Contract, config: Config, warn: Callable[[str], None]
) -> HeldOutPhotos:
    """Decode photos and make two views of each.

    Args:
        photos: held out of the training set.
        contract: of the backbone.
        config: of the run: its augmentation and seed.
        warn: called where photos had to be resized, and for each that cannot be read.

    Raises:
        ImageError, TrainingError: too many of the photos cannot be read.
    """
    transform, size = transform_of(contract, config, stored_size(photos))
    everyone = np.arange(len(photos))
    left_out = LeftOut(len(photos), config.data.unreadable, warn)  # another stands in for each

    def made(views: Views, vary: bool) -> list[Tensor]:
        (batch,) = batches(
            photos, [everyone], transform=transform, views=views, seed=config.seed, crop_size=size,
            vary=vary, workers=1, warn=warn, left_out=left_out,
        )  # fmt: skip
        return batch.views

    (plain,) = made(ONE_VIEW, vary=False)
    first, second = made(Views(2), vary=True)
    return HeldOutPhotos(plain, (first, second))


def representation_of(
    photos: HeldOutPhotos, backbone: nn.Module, executor: Executor
) -> dict[str, float]:
    """Spread, effective rank and uniformity of plain photos, and alignment of their views.

    Args:
        photos: held out.
        backbone: in training; its mode is restored.
        executor: has its precision.
    """

    @torch.no_grad()
    def embedded(images: Tensor) -> NDArray[np.float64]:
        parts = [
            backbone(part.to(executor.device)).float() for part in torch.split(images, AT_ONCE)
        ]
        return np.asarray(torch.cat(parts).cpu().double().numpy())

    with eval_mode(backbone), executor.autocast():
        plain = embedded(photos.plain)
        first, second = (embedded(view) for view in photos.varied)
    return {
        **spread_and_rank(plain),
        "alignment": alignment(first, second),
        "uniformity": uniformity(plain),
    }


def as_many_crops(photos: HeldOutPhotos) -> NDArray[np.uint8]:
    """Blank crops, as many as a validation embeds, to time it by, (3 P, height, width, 3)."""
    count, channels, height, width = photos.plain.shape
    return np.zeros((3 * count, height, width, channels), np.uint8)
