"""What a run learns from, whether its images are stored or come in a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from faceverify.training.data.loading.packed_cache import Progress
from faceverify.training.data.views import Batch


@dataclass(frozen=True, eq=False)
class Stills:
    """N stored images as they are, not varied.

    Args:
        labels: the person on each, (N,).
        at: gives images at some positions, in batches with their labels.
    """

    labels: NDArray[np.int64]
    at: Callable[[NDArray[np.int64]], Iterable[tuple[Tensor, Tensor]]]


class Source(Protocol):
    """Images of people in batches, as the backbone of a run sees them.

    Every process of the run has one, which gives its part of every batch.
    """

    @property
    def title(self) -> str:
        """What to call the data in a model file: no URL, which may hold a key, and no command."""

    @property
    def images(self) -> int:
        """How many there are."""

    @property
    def people(self) -> int:
        """How many numbers their labels need: one more than the highest."""

    @property
    def steps(self) -> int:
        """Batches of an epoch."""

    @property
    def stills(self) -> Stills | None:
        """The images in any order; None of a stream, which has one order only."""

    def prepare(self, cache: Path, progress: Progress) -> None:
        """Do what takes long, once, before the first batch.

        Args:
            cache: folder of decoded crops.
            progress: shown the images as they are decoded.
        """

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """Give this process's part of an epoch's batches, from one of them on.

        Raises:
            ImageError, TrainingError: an image that cannot be read, or has another shape.
        """
