"""Summary of a training set: format and counts, without decoding images."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceverify.errors import ImageError
from faceverify.images.photo import open_photo
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.data.sets.recordio import find_records
from faceverify.training.data.sets.webdataset import find_shards

TITLES = {
    "folders": "a folder of people",
    "recordio": "InsightFace RecordIO",
    "webdataset": "WebDataset shards",
}
LOOKED_AT = 200  # size of the sample of images whose headers are read


@dataclass(frozen=True)
class Summary:
    """Format and counts of a training set.

    Args:
        kind: of the set, as in :class:`FaceSet`.
        title: the format in words.
        facts: counts by name, in the order to print.
        notes: messages for the user, one line each.
    """

    kind: str
    title: str
    facts: dict[str, int]
    notes: tuple[str, ...]


def is_face_set(source: str) -> bool:
    """Whether a path may be a training set rather than an evaluation list."""
    if os.path.isdir(source) or find_shards(source):
        return True
    return find_records(Path(source)) is not None


def summarise(source: str) -> Summary:
    """Open a training set and count its images and people.

    Raises:
        TrainingError: it is not a training set, or damaged.
    """
    face_set = open_face_set(source)
    counts = face_set.counts()
    facts = {
        "images": len(face_set),
        "people": len(counts),
        "fewest images of a person": int(counts.min()),
        "images of a person, median": int(np.median(counts)),
        "most": int(counts.max()),
    }
    sizes, unreadable = _sizes(face_set)
    if sizes:
        (width, height), _ = sizes.most_common(1)[0]
        facts |= {"width, pixels": width, "height": height}
    notes = list(face_set.notes)
    looked_at = min(LOOKED_AT, len(face_set))
    if len(sizes) > 1:
        usual = sizes.most_common(1)[0][1]
        notes.append(f"{looked_at - unreadable - usual} of {looked_at} images have another size")
    if unreadable:
        notes.append(f"{unreadable} of {looked_at} images cannot be read: faceverify data check")
    if face_set.columns:
        notes.append(f"values of each image: {', '.join(face_set.columns)}")
    return Summary(face_set.kind, TITLES[face_set.kind], facts, tuple(notes))


def _sizes(face_set: FaceSet) -> tuple[Counter[tuple[int, int]], int]:
    """Widths and heights of a sample of the images, and how many of them are unreadable."""
    sizes: Counter[tuple[int, int]] = Counter()
    unreadable = 0
    places = np.linspace(0, len(face_set) - 1, min(LOOKED_AT, len(face_set))).astype(int)
    for place in places.tolist():
        size = _size(face_set, place)
        if size is None:
            unreadable += 1
        else:
            sizes[size] += 1
    return sizes, unreadable


def _size(face_set: FaceSet, index: int) -> tuple[int, int] | None:
    try:
        photo = open_photo(face_set.read(index))
    except ImageError:
        return None
    return photo.width, photo.height
