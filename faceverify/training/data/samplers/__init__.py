"""Samplers: which images make each step of an epoch, by the name in the configuration.

A sampler is a pure function of its seed and the epoch, so that a run goes on in the middle of an
epoch by skipping, and that every process of many can work out the batch of all: it takes its
:func:`rank_part`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import TrainingError
from faceverify.training.config.fields import config_error
from faceverify.training.data.samplers.balanced import Balanced
from faceverify.training.data.samplers.facenet import FaceNet
from faceverify.training.data.samplers.pk import Identities
from faceverify.training.data.samplers.shuffled import Shuffled


class Sampler(Protocol):
    """What every sampler is."""

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
        seed: of everything drawn.
        size: images of a batch, over all processes.
        images_per_identity: in a batch, where identities are drawn.
        processes: how many share each batch.

    Raises:
        TrainingError: a name that does not exist, or batches that these images cannot fill.
    """
    if size % processes:
        raise _uneven(size, processes)
    if name == "shuffled":
        return Shuffled(labels, seed=seed, size=size)
    if name == "balanced":
        return Balanced(labels, seed=seed, size=size)
    if name == "identities":
        return Identities(labels, seed=seed, size=size, images_per_identity=images_per_identity)
    if name == "facenet":
        return FaceNet(labels, seed=seed, size=size, images_per_identity=images_per_identity)
    known = "shuffled, balanced, identities, facenet"
    raise config_error(f"batches.sampler is {name!r}, not one of {known}")


def rank_part(batch: NDArray[np.int64], rank: int, world: int) -> NDArray[np.int64]:
    """The part of a batch that one process of ``world`` embeds: parts in order make the batch.

    Parts are equally long, as gathering them and averaging their gradients need it. Identities stay
    whole where the number of processes divides the number of identities in the batch.

    Raises:
        TrainingError: the batch cannot be shared evenly.
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
