"""Selection of the photos of a robustness measurement: a few of each of some people."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from faceverify.evaluation.protocols.benchmark import Benchmark

PEOPLE, PHOTOS_EACH = 160, 2  # 320 photos: 50,880 impostor comparisons of a kind and strength
MIN_IMPOSTORS = 20_000  # for an FMR of 1e-3, 20 false matches


def select_photos(
    benchmark: Benchmark, *, people: int = PEOPLE, photos_each: int = PHOTOS_EACH
) -> Benchmark:
    """A benchmark of at most ``people`` x ``photos_each`` of the photos.

    People with several photos come first, since they alone make genuine comparisons. Among these,
    people and photos are chosen by a hash of their names, not by their order.

    Args:
        benchmark: with identities.
        people: how many at most.
        photos_each: how many of each at most.
    """
    of_person: dict[str, list[int]] = {}
    for index, person in enumerate(benchmark.identities):
        of_person.setdefault(person, []).append(index)
    ranked = sorted(
        of_person, key=lambda person: (-min(len(of_person[person]), photos_each), _hash(person))
    )
    kept = [
        index
        for person in sorted(ranked[:people])
        for index in sorted(of_person[person], key=lambda index: _hash(benchmark.names[index]))[
            :photos_each
        ]
    ]
    impostors = _impostors([benchmark.identities[index] for index in kept])
    notes = list(benchmark.notes)
    if impostors < MIN_IMPOSTORS:
        notes.append(
            f"{impostors:,} impostor comparisons of each kind and strength, fewer than "
            f"{MIN_IMPOSTORS:,}: a false match rate of 0.001 cannot be told from twice as much"
        )
    return replace(
        benchmark,
        photos=[benchmark.photos[index] for index in kept],
        names=[benchmark.names[index] for index in kept],
        identities=[benchmark.identities[index] for index in kept],
        notes=tuple(notes),
    )


def _impostors(identities: list[str]) -> int:
    sizes = [identities.count(person) for person in set(identities)]
    total = sum(sizes)
    return (total * total - sum(size * size for size in sizes)) // 2


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
