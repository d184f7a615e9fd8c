"""Images that cannot be read, left out of a run: counted, named once, and up to a limit.

What takes the place of such an image depends on the set alone, not on the run, its workers or its
processes, so that a resumed run is still the run that never stopped.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from faceverify.errors import FaceverifyError, ImageError, TrainingError
from faceverify.training.data.sets.errors import data_error

Result = TypeVar("Result")

LOOKED_AT = 100  # images at the start of a set, for one that can be read
BAD_IMAGE = (ImageError, TrainingError)  # TrainingError: a damaged record, another shape
NAMED = 10  # images; of more only the number is said


def attempt(decode: Callable[[], Result]) -> Result | FaceverifyError:
    """A decoded image, or why it cannot be read."""
    try:
        return decode()
    except BAD_IMAGE as error:
        return error


def first_size(decoders: Iterable[Callable[[], Tensor]]) -> tuple[int, int]:
    """(Height, width) of the first image that can be read, of some.

    Raises:
        ImageError, TrainingError: of the first, where none can be.
    """
    problem: FaceverifyError | None = None
    for decode in decoders:
        found = attempt(decode)
        if not isinstance(found, FaceverifyError):
            return int(found.shape[-2]), int(found.shape[-1])
        problem = problem or found
    assert problem is not None  # a set has images
    raise problem


class LeftOut:
    """The unreadable images that this process has met; thread-safe.

    Args:
        images: number of images of the set.
        share: largest share of them that may be left out.
        say: called with a line of text for each, but for the many.
    """

    def __init__(self, images: int, share: float, say: Callable[[str], None]) -> None:
        self._images, self._share, self._say = images, share, say
        self._most = math.ceil(share * images)
        self._met: set[Hashable] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._met)

    def add(self, image: Hashable, error: FaceverifyError) -> None:
        """Leave an image out, known by its position or key.

        Raises:
            ImageError, TrainingError: that error, where none may be left out.
            TrainingError: too many are left out.
        """
        if not self._most:
            raise error
        with self._lock:
            if image in self._met:
                return
            self._met.add(image)
            count = len(self._met)
        if count > self._most:
            raise data_error(
                f"{count:,} of {self._images:,} images cannot be read, and data.unreadable allows "
                f"{self._share:g} of them; the last: {error}",
                "`faceverify data check` lists them; repair them, or give a larger --set "
                "data.unreadable",
            ) from error
        if count <= NAMED:
            self._say(f"left out: {error}")
        elif count == NAMED + 1:
            self._say("more images are left out; `faceverify data check` lists all")

    @property
    def notes(self) -> list[str]:
        """How many were left out, in a line."""
        return [f"{len(self):,} images could not be read and were left out"] if self._met else []


def in_place_of(index: int, labels: NDArray[np.int64]) -> Iterator[int]:
    """Positions of the images that may stand at a position: it, others of the person, all others.

    Args:
        index: the position.
        labels: the person on each image, (N,).
    """
    yield index
    for places in (
        np.flatnonzero(labels == labels[index]),
        np.flatnonzero(labels != labels[index]),
    ):
        after = int(np.searchsorted(places, index, side="right"))
        yield from (int(place) for place in np.roll(places, -after) if place != index)


def replaced(unreadable: Collection[int], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The position of the image that stands at each position, (N,), where some are unreadable."""
    kept = np.arange(len(labels))
    bad = set(unreadable)
    for index in bad:
        kept[index] = next((one for one in in_place_of(index, labels) if one not in bad), index)
    return kept
