"""Identities of a pair list, listed or inferred, for the bootstrap over identities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceverify.evaluation.lists.pair_list import PairList


@dataclass(frozen=True)
class PairIdentities:
    """Identities of N pairs.

    Args:
        first: identity of the first photo of each pair, N.
        second: identity of the second photo, N.
        num_identities: number of distinct identities.
        note: how they were inferred; empty where the list has identities.
    """

    first: list[str]
    second: list[str]
    num_identities: int
    note: str = ""


def identities_of_pairs(pairs: PairList) -> PairIdentities:
    """The listed identities; without any, the connected components of the genuine pairs.

    Two components may be the same identity; then the bootstrap intervals are a little too narrow.
    """
    if pairs.first_identity is not None and pairs.second_identity is not None:
        count = len({*pairs.first_identity, *pairs.second_identity})
        return PairIdentities(pairs.first_identity, pairs.second_identity, count)
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
    return PairIdentities(
        one,
        other,
        len({*one, *other}),
        "the list has no identities: photos linked by genuine pairs are taken for one person",
    )
