"""Split of the photos of a benchmark into those that are learned from and those that are asked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import UsageError

if TYPE_CHECKING:
    from faceverify.evaluation.protocols.benchmark import Benchmark


@dataclass(frozen=True, eq=False)
class PhotoSplit:
    """Photos to learn from and photos to ask for.

    Args:
        learned: whether each photo is learned from, (P,).
        asked: whether it is asked for; its person has a learned photo, (P,).
        title: how they were split, for people.
    """

    learned: NDArray[np.bool_]
    asked: NDArray[np.bool_]
    title: str


def codes_of(identities: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Sorted names of the people, and the number of each photo's person, (P,)."""
    names, code = np.unique(np.asarray(identities, dtype=str), return_inverse=True)
    return names.tolist(), np.asarray(code, np.int64)


def shuffled_photos(benchmark: Benchmark, seed: int) -> list[NDArray[np.int64]]:
    """Indices of each person's photos, in an order that follows from seed and names alone.

    The names are those below the folder: where it lies does not matter, nor how photos are sorted.
    """
    places = [_place(benchmark, index, seed) for index in range(len(benchmark.names))]
    people, code = codes_of(benchmark.identities)
    found: list[list[int]] = [[] for _ in people]
    for index in sorted(range(len(places)), key=lambda index: (places[index], index)):
        found[code[index]].append(index)
    return [np.array(one, np.int64) for one in found]


def some_photos(benchmark: Benchmark, most: int, seed: int = 0) -> NDArray[np.int64]:
    """Indices of at most so many photos, of as many people as possible, by names alone."""
    photos_of = shuffled_photos(benchmark, seed)
    ranked = sorted(photos_of, key=lambda photos: _place(benchmark, int(photos[0]), seed))
    rounds = range(max(map(len, photos_of), default=0))
    order = [photos[turn] for turn in rounds for photos in ranked if turn < len(photos)]
    return np.array(order[:most], np.int64)


def split_photos(benchmark: Benchmark, share: float | None, seed: int, usual: float) -> PhotoSplit:
    """The split of the list, or a share of each person's photos, at least one and not all.

    The only photo of a person is learned, and never asked.

    Args:
        benchmark: with identities.
        share: that is learned; None for the split of the list, or where it has none, ``usual``.
        seed: of the split.
        usual: share that is learned where nothing says so.

    Raises:
        UsageError: nobody has photos on both sides.
    """
    _, code = codes_of(benchmark.identities)
    if share is None and benchmark.training is not None:
        learned = np.array(benchmark.training, bool)
        title = "split of the list"
    else:
        share = usual if share is None else share
        learned = np.zeros(len(code), bool)
        for photos in shuffled_photos(benchmark, seed):
            most = max(len(photos) - 1, 1)
            learned[photos[: min(max(round(share * len(photos)), 1), most)]] = True
        title = f"{share:g} of each person's photos learned, seed {seed}"
    known = np.zeros(int(code.max(initial=-1)) + 1, bool)
    known[code[learned]] = True
    asked = ~learned & known[code]
    if not asked.any():
        raise UsageError(
            f"{benchmark.source}: found no person with photos to learn from and others to ask for",
            cure="give at least two photos a person",
        )
    return PhotoSplit(learned, asked, title)


def require_people(benchmark: Benchmark, protocol: str) -> None:
    """Check that there are two people.

    Raises:
        UsageError: there are fewer.
    """
    people = len(set(benchmark.identities))
    if people < 2:
        raise UsageError(
            f"{benchmark.source}: found {people} person, and --protocol {protocol} tells people "
            "apart",
            cure="give a folder with a folder for each of at least two people",
        )


def _place(benchmark: Benchmark, index: int, seed: int) -> bytes:
    """Hash of the seed and of a photo's name below the folder of the benchmark."""
    name, folder = os.path.normpath(benchmark.names[index]), os.path.normpath(benchmark.source)
    below = name.removeprefix(folder + os.sep)
    return hashlib.sha256(f"{seed}\n{below}".encode("utf-8", "surrogateescape")).digest()
