"""Who is on the photos of a pair list, as far as it tells: needed to draw people, not pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceverify.evaluation.lists.pair_list import PairList


@dataclass(frozen=True)
class PairPeople:
    """The people of N pairs.

    Args:
        first: who is on the first photo of each pair, N.
        second: who is on the second.
        count: how many people there are.
        note: how they were found, where the list does not name them.
    """

    first: list[str]
    second: list[str]
    count: int
    note: str = ""


def people_of_pairs(pairs: PairList) -> PairPeople:
    """Return the people that a list names; else group its photos by its genuine pairs.

    Photos that genuine pairs link, directly or through others, show one person. Photos that no
    genuine pair links may still do; then the intervals are a little too narrow.
    """
    if pairs.first_identity is not None and pairs.second_identity is not None:
        count = len({*pairs.first_identity, *pairs.second_identity})
        return PairPeople(pairs.first_identity, pairs.second_identity, count)
    parent = {image: image for image in pairs.images}

    def person(image: str) -> str:
        while parent[image] != image:
            parent[image] = parent[parent[image]]  # halve the path
            image = parent[image]
        return image

    for first, second, same in zip(pairs.first, pairs.second, pairs.same, strict=True):
        if same:
            parent[person(first)] = person(second)
    one, other = ([person(image) for image in side] for side in (pairs.first, pairs.second))
    return PairPeople(
        one,
        other,
        len({*one, *other}),
        "the list names nobody: photos linked by genuine pairs are taken for one person",
    )
