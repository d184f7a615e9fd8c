"""A set of faces with the person on each, whatever file format it lies in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from faceverify.training.data.sets.errors import data_error

if TYPE_CHECKING:
    from torch import Tensor


class EncodedImages(Protocol):
    """Where the images of a set lie, by position; safe to use from several threads."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> bytes:
        """Return an encoded image; TrainingError or ImageError where it cannot be read."""
        ...

    def name(self, index: int) -> str:
        """Tell where an image lies, for messages."""
        ...

    def stamp(self) -> str:
        """Say something that changes when the images do."""
        ...


@dataclass(frozen=True, eq=False)
class FaceSet:
    """N images of C people.

    Args:
        source: the path or URL, as the user named it.
        kind: "folders", "recordio" or "webdataset".
        images: the encoded images.
        labels: the person on each, from 0 to C - 1, (N,).
        identities: names of the people, C.
        columns: further values of each image by name, (N,) each: an age, an angle.
        notes: what a user should know, one line each.
    """

    source: str
    kind: str
    images: EncodedImages = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    identities: list[str] = field(repr=False)
    columns: Mapping[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: int) -> bytes:
        """Return an encoded image.

        Raises:
            ImageError, TrainingError: it cannot be read.
        """
        return self.images.read(index)

    def name(self, index: int) -> str:
        """Tell where an image lies, for messages."""
        return self.images.name(index)

    def image(self, index: int) -> Tensor:
        """Return an image as upright RGB, uint8, (3, H, W).

        Raises:
            ImageError, TrainingError: it cannot be read or decoded.
        """
        from faceverify.training.data.decoding import decode

        return decode(self.read(index), self.name(index))

    @property
    def people(self) -> int:
        """How many people there are, C."""
        return len(self.identities)

    def counts(self) -> NDArray[np.int64]:
        """How many images each person has, (C,)."""
        return np.bincount(self.labels, minlength=len(self.identities))

    def only(self, identities: Collection[str]) -> FaceSet:
        """The part of the set that shows these people, labelled anew from 0.

        Raises:
            TrainingError: a name that is not among its people.
        """
        wanted = set(identities)
        unknown = sorted(wanted - set(self.identities))
        if unknown:
            raise data_error(
                f"{self.source}: {len(unknown)} of {len(wanted)} people are not in it "
                f"({', '.join(unknown[:3])})",
                "use a list made from this set",
            )
        kept = np.array([name in wanted for name in self.identities], bool)
        return self.at(np.flatnonzero(kept[self.labels]))

    def without(self, identities: Collection[str]) -> FaceSet:
        """The part of the set that shows none of these people, labelled anew from 0."""
        return self.only(set(self.identities) - set(identities))

    def at(self, positions: NDArray[np.int64]) -> FaceSet:
        """The images at these positions; people without one drop out, labels are anew from 0."""
        present, labels = np.unique(self.labels[positions], return_inverse=True)
        return FaceSet(
            self.source,
            self.kind,
            SomeImages(self.images, positions),
            labels.astype(np.int64).reshape(-1),
            [self.identities[label] for label in present],
            {name: values[positions] for name, values in self.columns.items()},
            self.notes,
        )


@dataclass(frozen=True, eq=False)
class SomeImages:
    """The images of another set at some positions."""

    images: EncodedImages
    positions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions)

    def read(self, index: int) -> bytes:
        """Return an encoded image."""
        return self.images.read(int(self.positions[index]))

    def name(self, index: int) -> str:
        """Tell where an image lies."""
        return self.images.name(int(self.positions[index]))

    def stamp(self) -> str:
        """Say something that changes when the images do."""
        import hashlib

        chosen = hashlib.sha256(self.positions.tobytes()).hexdigest()
        return f"{self.images.stamp()} {chosen}"
