"""Weight imprinting: each class centre begins at the mean embedding of its person's images.

Qi et al., Low-Shot Learning with Imprinted Weights, https://arxiv.org/abs/1712.07136, section 3.2.
For pretrained backbones: random centres would give arbitrary gradients, which undo the training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceverify.training.data.loading.source import some_of_each
from faceverify.training.losses.engine.softmax_engine import SPREAD, SoftmaxEngine
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.optim.freezing import eval_mode


def imprint(
    backbone: nn.Module,
    method: nn.Module,
    labels: NDArray[np.int64],
    images_at: Callable[[NDArray[np.int64]], Iterable[tuple[Tensor, Tensor]]],
    *,
    of_a_person: int = 16,
) -> None:
    """Set the class centres of a normalised softmax loss to the mean embeddings of the people.

    Each process sets the centres that it holds. They get the length of random ones, so that a step
    turns them as far; of a person's sub-centres the first is set.

    Args:
        backbone: trained on faces; its train or eval mode is restored.
        method: one with a normalised softmax loss, or that loss.
        labels: the person on each image, (N,).
        images_at: images at some positions, not augmented, in batches with their labels.
        of_a_person: largest number of images of each person.
    """
    engine = engine_of_directions(method)
    assert engine is not None
    centres, shard = engine.centres.detach(), engine.shard
    sums = centres.new_zeros(len(centres), centres.shape[-1])
    seen = torch.zeros(len(centres), dtype=torch.bool, device=centres.device)
    with torch.no_grad(), eval_mode(backbone):
        some = some_of_each(labels, range(shard.start, shard.stop), of_a_person)
        for images, people in images_at(some):
            rows = l2_normalize(backbone(images).float())
            # another's image stands for a person's where none of theirs can be read
            own = (people >= shard.start) & (people < shard.stop)
            sums.index_add_(0, people[own] - shard.start, rows[own])
            seen[people[own] - shard.start] = True
    first = centres.view(len(centres), -1, centres.shape[-1])[:, 0]
    first[seen] = l2_normalize(sums[seen]) * (SPREAD * centres.shape[-1] ** 0.5)


def has_directions(method: nn.Module) -> bool:
    """Whether a method or loss normalises its class centres."""
    return engine_of_directions(method) is not None


def engine_of_directions(method: nn.Module) -> SoftmaxEngine | None:
    """The softmax engine with normalised class centres; None where there is none."""
    engine = next((one for one in method.modules() if isinstance(one, SoftmaxEngine)), None)
    return engine if engine is not None and engine.unit else None
