"""Face set: images labelled with people, in any file format."""

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
    """Protocol of random access to the encoded images of a set; thread-safe."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> bytes:
        """Return an encoded image; TrainingError or ImageError where it cannot be read."""
        ...

    def name(self, index: int) -> str:
        """Path or key of an image, for messages."""
        ...

    def stamp(self) -> str:
        """Text that changes when the images change."""
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
        columns: attributes of each image by name, (N,) each: an age, an angle.
        notes: messages for the user, one line each.
        captions: of each image, one or more, N; empty where there are none.
    """

    source: str
    kind: str
    images: EncodedImages = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    identities: list[str] = field(repr=False)
    columns: Mapping[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    captions: tuple[tuple[str, ...], ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: int) -> bytes:
        """Return an encoded image.

        Raises:
            ImageError, TrainingError: it cannot be read.
        """
        return self.images.read(index)

    def name(self, index: int) -> str:
        """Path or key of an image, for messages."""
        return self.images.name(index)

    def image(self, index: int) -> Tensor:
        """Return an image as upright RGB, uint8, (3, H, W).

        Raises:
            ImageError, TrainingError: it cannot be read or decoded.
        """
        from faceverify.training.data.decoding import decode

        return decode(self.read(index), self.name(index))

    @property
    def num_identities(self) -> int:
        """Number of people, C."""
        return len(self.identities)

    def counts(self) -> NDArray[np.int64]:
        """Number of images of each person, (C,)."""
        return np.bincount(self.labels, minlength=len(self.identities))

    def only(self, identities: Collection[str]) -> FaceSet:
        """Subset of the images of these people, relabelled from 0.

        Raises:
            TrainingError: a name is not among the people of the set.
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
        """Subset without the images of these people, relabelled from 0."""
        return self.only(set(self.identities) - set(identities))

    def at(self, positions: NDArray[np.int64]) -> FaceSet:
        """Subset of the images at these positions, of fewer people perhaps, relabelled from 0."""
        present, labels = np.unique(self.labels[positions], return_inverse=True)
        return FaceSet(
            self.source,
            self.kind,
            SomeImages(self.images, positions),
            labels.astype(np.int64).reshape(-1),
            [self.identities[label] for label in present],
            {name: values[positions] for name, values in self.columns.items()},
            self.notes,
            tuple(self.captions[at] for at in positions) if self.captions else (),
        )


@dataclass(frozen=True, eq=False)
class SomeImages:
    """Subset of the images of another set, by position."""

    images: EncodedImages
    positions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions)

    def read(self, index: int) -> bytes:
        """Return an encoded image."""
        return self.images.read(int(self.positions[index]))

    def name(self, index: int) -> str:
        """Path or key of an image."""
        return self.images.name(int(self.positions[index]))

    def stamp(self) -> str:
        """Text that changes when the images change."""
        import hashlib

        chosen = hashlib.sha256(self.positions.tobytes()).hexdigest()
        return f"{self.images.stamp()} {chosen}"
