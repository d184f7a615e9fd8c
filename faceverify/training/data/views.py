"""Views of the images of a batch: one of each image, or several, augmented independently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from faceverify.training.config.data import Views as ViewSettings


@dataclass(frozen=True)
class View:
    """How a view differs from what ``[augmentation]`` says.

    Args:
        side: of the view, share of the side of the backbone's input.
        changes: other values of settings of the augmentation, by name.
    """

    side: float = 1.0
    changes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Views:
    """Views that a method needs of each image.

    Args:
        number: views of the whole size of each image.
        second: how those after the first differ (BYOL, https://arxiv.org/abs/2006.07733,
            appendix B).
        local: small views of each image beside them (multi-crop: SwAV,
            https://arxiv.org/abs/2006.09882, section 3.3); 0 for a method without.
        small: how those differ.
    """

    number: int = 1
    second: View = View()
    local: int = 0
    small: View = View()

    @property
    def kinds(self) -> tuple[View, ...]:
        """Each view, in the order of a batch: those of the whole size first."""
        whole = (View(), *(self.second,) * (self.number - 1))
        return (*whole[: self.number], *(self.small,) * self.local)


ONE_VIEW = Views()
# the second view of BYOL's asymmetric pair: it is rarely blurred, and now and then solarised
LESS_BLURRED = View(changes={"blur": 0.1, "solarise": 0.2})


def configured(views: Views, settings: ViewSettings) -> Views:
    """The views of a method with what the configuration says about the small ones.

    Args:
        views: of the method.
        settings: the section ``[views]``.
    """
    if not views.local:
        return views
    small = View(
        side=settings.local_side,
        changes={"least_area": settings.local_least_area, "most_area": settings.local_most_area},
    )
    return replace(views, local=views.local if settings.local < 0 else settings.local, small=small)


@dataclass(frozen=True, eq=False)
class Batch:
    """N images, ready for the network.

    Attributes:
        views: float32, normalised, (N, 3, height, width) each, channels-last memory, on the device.
        labels: the person on each image, int64, or a regression target, float32, (N,); on device.
        indices: positions of the images in the set, (N,).
        keys: of the random numbers that a method itself draws for each image (a mask), uint64,
            (N,); see :func:`~.loading.counter_rng.draws_of`.
    """

    views: list[Tensor]
    labels: Tensor
    indices: NDArray[np.int64]
    keys: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))

    def __len__(self) -> int:
        return len(self.labels)

    def split(self, count: int) -> list[Batch]:
        """Split into ``count`` consecutive parts of nearly equal size."""
        views = [view.tensor_split(count) for view in self.views]
        labels, indices = self.labels.tensor_split(count), np.array_split(self.indices, count)
        keys = np.array_split(self.keys, count)
        return [
            Batch([view[part] for view in views], labels[part], indices[part], keys[part])
            for part in range(count)
        ]
