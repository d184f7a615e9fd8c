"""Source of training batches: stored images or a stream."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from faceverify.runtime.progress import ShowProgress
from faceverify.training.data.loading.left_out import LeftOut
from faceverify.training.data.views import Batch

MOST = 100_000  # images of all people together, of each of whom some are looked at


@dataclass(frozen=True, eq=False)
class Stills:
    """N stored images without augmentation.

    Args:
        labels: the person on each, (N,).
        at: from positions to images in batches with their labels.
    """

    labels: NDArray[np.int64]
    at: Callable[[NDArray[np.int64]], Iterable[tuple[Tensor, Tensor]]]


class Source(Protocol):
    """Batches of images, preprocessed for the backbone of a run.

    Each process of the run has one, which gives its part of every batch.
    """

    @property
    def title(self) -> str:
        """Name of the data for a model file; never a URL, which may contain a key, or a command."""

    @property
    def images(self) -> int:
        """Number of images."""

    @property
    def num_identities(self) -> int:
        """Number of classes: the highest label plus one."""

    @property
    def left_out(self) -> LeftOut:
        """The images that could not be read."""

    @property
    def steps(self) -> int:
        """Number of batches of an epoch."""

    @property
    def stills(self) -> Stills | None:
        """Random access to the images; None for a stream."""

    def prepare(self, cache: Path, show_progress: ShowProgress) -> None:
        """Slow preparation, once, before the first batch.

        Args:
            cache: folder of decoded crops.
            show_progress: gets the images as they are decoded.
        """

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """This process's part of each batch of an epoch, from batch ``start`` on.

        Raises:
            ImageError, TrainingError: too many images are unreadable, or a shard is.
        """


def some_of_each(labels: NDArray[np.int64], people: range, of_a_person: int) -> NDArray[np.int64]:
    """Positions of a few images of each of these people, evenly spread over all of theirs."""
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
