"""Photos without colour, of which a method that learns from colour learns nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from torch import Tensor

from faceverify.training.data.decoding import decode
from faceverify.training.data.loading.left_out import LOOKED_AT, attempt
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.sets.shard_stream import ShardStream, first_images

GREY = 1.0  # mean difference of two channels, of 255 levels, up to which a photo is grey


def refuse_grey(photos: FaceSet | ShardStream, source: str, method: str) -> tuple[str, ...]:
    """Refuse photos that are grey, all that are looked at; a note where some are.

    Args:
        photos: of the run; some at even distances are looked at, of a stream the first ones.
        source: where they are from, for the message.
        method: name of the method.

    Raises:
        TrainingError: all are grey.
    """
    colours = [is_grey(image) for image in readable(decoders(photos))]
    if not any(colours):
        return ()
    if all(colours):
        raise data_error(
            f"{source}: the {len(colours)} photos looked at are grey, and method {method} learns "
            "from colour",
            "use another method, such as simclr",
        )
    return (
        f"{sum(colours)} of {len(colours)} photos looked at are grey: method {method} learns "
        "nothing of such",
    )


def decoders(photos: FaceSet | ShardStream) -> Iterator[Callable[[], Tensor]]:
    """Functions that decode the photos to look at."""
    if isinstance(photos, ShardStream):
        for one in first_images(photos, LOOKED_AT):
            yield lambda one=one: decode(one.image, one.name)  # type: ignore[misc]
        return
    places = np.unique(np.linspace(0, len(photos) - 1, LOOKED_AT).astype(int))
    for index in places.tolist():
        yield lambda index=index: decode(photos.read(index), photos.name(index))  # type: ignore[misc]


def readable(images: Iterable[Callable[[], Tensor]]) -> list[Tensor]:
    """The images that can be decoded; those that cannot be are left out of a run later."""
    return [image for one in images if isinstance(image := attempt(one), Tensor)]


def is_grey(image: Tensor) -> bool:
    """Whether an RGB image, uint8, (3, H, W), has no colour."""
    red, green, blue = image.float()
    return float((red - green).abs().mean() + (green - blue).abs().mean()) <= GREY
