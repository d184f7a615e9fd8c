"""InsightFace verification packs (``lfw.bin``, ``agedb_30.bin``, ...): photos with labels.

A pack is a pickle of ``(images, same)``: 2N encoded photos, of which pair i is photos 2i and
2i + 1, and N booleans. Photos are byte strings, or in some packs
arrays of bytes, of one dimension or one column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import PairListError
from faceverify.evaluation.lists.list_format import ListFormat, Listing
from faceverify.evaluation.lists.pack_pickle import PickledArray, read_pickle
from faceverify.evaluation.lists.pair_list import PairList

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, eq=False)
class Pack(Listing):
    """A verification pack.

    Args:
        images: 2N encoded photos (JPEG, PNG).
        pairs: N pairs of positions in ``images``, written as text.
    """

    images: list[bytes]
    pairs: PairList

    @property
    def facts(self) -> dict[str, int]:
        """Counts by name, in the order to print."""
        sizes = [len(image) for image in self.images]
        bounds = {"smallest image, bytes": min(sizes), "largest, bytes": max(sizes)}
        return {**self.pairs.facts, **bounds}

    @property
    def notes(self) -> list[str]:
        """What a user should know before trusting figures from it, one line each."""
        return self.pairs.notes


def read_pack(path: Path) -> Pack:
    """Read a pack without running what is in it.

    Raises:
        PairListError: the file is missing, holds anything but photos and labels, or they disagree
            in number.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PairListError(
            f"{path}: cannot be read ({error.strerror})", cure="check the path"
        ) from error
    value = _plain(read_pickle(data, str(path)))
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise _wrong(path, "another value", "a pair of (images, labels)")
    images = [_encoded(path, index, image) for index, image in enumerate(_items(path, value[0]))]
    labels = _items(path, value[1])
    for index, label in enumerate(labels):
        if not isinstance(label, (bool, int, np.bool_, np.integer)) or int(label) not in (0, 1):
            raise _wrong(path, f"label {index} of {type(label).__name__}", "booleans")
    if len(images) != 2 * len(labels) or not labels:
        found = f"{len(images)} images for {len(labels)} labels"
        raise _wrong(path, found, "two images a label, one label or more")
    return Pack(
        images,
        PairList(
            source=str(path),
            kind="pack",
            first=[str(index) for index in range(0, len(images), 2)],
            second=[str(index) for index in range(1, len(images), 2)],
            same=_booleans(labels),
        ),
    )


def _plain(value: Any) -> Any:
    """Put an array in place of what the reader built it with."""
    return value.value if isinstance(value, PickledArray) else value


def _items(path: Path, value: Any) -> list[Any]:
    value = _plain(value)
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim == 1):
        return [_plain(item) for item in value]
    raise _wrong(path, f"a {type(value).__name__}", "lists of images and of labels")


def _encoded(path: Path, index: int, image: object) -> bytes:
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.size == len(image):
        image = image.tobytes()
    if isinstance(image, (bytes, bytearray)):
        return bytes(image)
    found = f"image {index} as {type(image).__name__}"
    raise _wrong(path, found, "an encoded photo as bytes or a column of uint8")


def _booleans(labels: list[Any]) -> NDArray[np.bool_]:
    return np.array([bool(label) for label in labels], bool)


def _wrong(path: Path, found: str, expected: str) -> PairListError:
    return PairListError(f"{path}: found {found}, expected {expected}", cure="use a complete pack")


FORMAT = ListFormat(
    "pack",
    "InsightFace verification pack",
    lambda file: file.suffix == ".bin",
    lambda path, _: read_pack(path),
    pairs=False,
)
