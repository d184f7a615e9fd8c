"""What a training set is and holds, without decoding it."""

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
LOOKED_AT = 200  # images whose headers are read


@dataclass(frozen=True)
class Summary:
    """What a training set is and holds.

    Args:
        kind: of the set.
        title: in words.
        facts: counts by name, in the order to print.
        notes: what a user should know, one line each.
    """

    kind: str
    title: str
    facts: dict[str, int]
    notes: tuple[str, ...]


def is_face_set(source: str) -> bool:
    """Tell whether something may be a training set rather than a file of an evaluation."""
    if os.path.isdir(source) or find_shards(source):
        return True
    return find_records(Path(source)) is not None


def summarise(source: str) -> Summary:
    """Open a set and count.

    Raises:
        TrainingError: it is none, or damaged.
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
    """Widths and heights of some images spread over the set, and how many could not be read."""
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
