"""Class centres that a trained backbone begins with: the means of its embeddings of each person.

Beside random centres its first gradients would say nothing of faces, and undo what it knows. Qi et
al., "Low-Shot Learning with Imprinted Weights": https://arxiv.org/abs/1712.07136, section 3.2.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceverify.training.losses.engine.softmax_engine import SPREAD, SoftmaxEngine
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.optim.freezing import not_learning

MOST = 100_000  # images of all


def imprint(
    backbone: nn.Module,
    method: nn.Module,
    labels: NDArray[np.int64],
    images_at: Callable[[NDArray[np.int64]], Iterable[tuple[Tensor, Tensor]]],
    *,
    of_a_person: int = 16,
) -> None:
    """Set class centres to the means of a backbone's embeddings, where they are directions.

    Each process sets the centres that it holds. They are as long as random ones, so that steps turn
    them as far; of a person's several centres the first is set.

    Args:
        backbone: trained on faces; its mode comes back as it was.
        method: one that has directions, or a loss.
        labels: the person on each image, (N,).
        images_at: images at some positions, not varied, in batches with their labels.
        of_a_person: images of each person at most.
    """
    engine = engine_of_directions(method)
    assert engine is not None
    centres, shard = engine.centres.detach(), engine.shard
    sums = centres.new_zeros(len(centres), centres.shape[-1])
    with torch.no_grad(), not_learning(backbone):
        some = some_of_each(labels, range(shard.start, shard.stop), of_a_person)
        for images, people in images_at(some):
            rows = l2_normalize(backbone(images).float())
            sums.index_add_(0, people - shard.start, rows)
    first = centres.view(len(centres), -1, centres.shape[-1])[:, 0]
    first.copy_(l2_normalize(sums) * (SPREAD * centres.shape[-1] ** 0.5))


def has_directions(method: nn.Module) -> bool:
    """Whether a method or loss has class centres of which only the direction counts."""
    return engine_of_directions(method) is not None


def engine_of_directions(method: nn.Module) -> SoftmaxEngine | None:
    """The softmax engine whose class centres are directions; None where there is none."""
    engine = next((one for one in method.modules() if isinstance(one, SoftmaxEngine)), None)
    return engine if engine is not None and engine.unit else None


def some_of_each(labels: NDArray[np.int64], people: range, of_a_person: int) -> NDArray[np.int64]:
    """Positions of a few images of each of these people, spread over all that there are."""
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], [*people, people.stop])
    most = max(1, min(of_a_person, MOST // (int(labels.max()) + 1)))
    return np.concatenate(
        [
            order[start + np.arange(count) * (end - start) // count]
            for start, end in itertools.pairwise(bounds.tolist())
            for count in [min(most, end - start)]
        ]
    )
