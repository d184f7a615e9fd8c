"""Samplers: the images of each batch of an epoch, by the name in the configuration.

The batches of a sampler depend on its seed and the epoch only: a resumed run skips batches, and
each process computes the whole batch and takes its :func:`rank_part`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import TrainingError
from faceverify.training.config.fields import config_error
from faceverify.training.data.samplers.balanced import BalancedSampler
from faceverify.training.data.samplers.facenet import FaceNetSampler
from faceverify.training.data.samplers.pk import PKSampler
from faceverify.training.data.samplers.shuffled import ShuffledSampler


class Sampler(Protocol):
    """Protocol of all samplers."""

    def __len__(self) -> int:
        """Batches of an epoch."""

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[NDArray[np.int64]]:
        """The batches of an epoch from number ``start`` on: indices of images, each (size,)."""


def build_sampler(
    name: str,
    labels: NDArray[np.int64],
    *,
    seed: int,
    size: int,
    images_per_identity: int = 4,
    processes: int = 1,
) -> Sampler:
    """Build a sampler by its name.

    Args:
        name: ``shuffled``, ``balanced``, ``identities`` or ``facenet``.
        labels: the identity of every image, (N,).
        seed: of all random choices.
        size: images of a batch, over all processes.
        images_per_identity: images of each sampled identity in a batch.
        processes: number of processes that share each batch.

    Raises:
        TrainingError: there is no such sampler, or these images cannot fill its batches.
    """
    if size % processes:
        raise _uneven(size, processes)
    if name == "shuffled":
        return ShuffledSampler(labels, seed=seed, size=size)
    if name == "balanced":
        return BalancedSampler(labels, seed=seed, size=size)
    if name == "identities":
        return PKSampler(labels, seed=seed, size=size, images_per_identity=images_per_identity)
    if name == "facenet":
        return FaceNetSampler(labels, seed=seed, size=size, images_per_identity=images_per_identity)
    known = "shuffled, balanced, identities, facenet"
    raise config_error(f"batches.sampler is {name!r}, not one of {known}")


def rank_part(batch: NDArray[np.int64], rank: int, world: int) -> NDArray[np.int64]:
    """Part of a batch that process ``rank`` of ``world`` embeds; the parts in order are the batch.

    Parts have equal size, as all-gather and gradient averaging need it. Images of an identity stay
    together where the number of processes divides the number of identities in the batch.

    Raises:
        TrainingError: the batch size is not a multiple of ``world``.
    """
    if len(batch) % world:
        raise _uneven(len(batch), world)
    share = len(batch) // world
    return batch[rank * share : (rank + 1) * share]


def _uneven(size: int, processes: int) -> TrainingError:
    return TrainingError(
        f"a batch of {size} images cannot be shared evenly by {processes} processes",
        cure=f"make batches.size a multiple of {processes}",
        code="training-processes",
    )
