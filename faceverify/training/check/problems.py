"""What can be wrong with a training set, as one value each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = {
    "unreadable": "an image that cannot be decoded",
    "tiny": "an image with a side under --least-side",
    "shape": "an image that is wider or taller than the others, so that its face is stretched",
    "duplicate": "an image twice under one person",
    "conflict": "an image under two people",
    "empty": "a person without images",
    "single": "a person with one image",
    "name": "a person whose name is in an evaluation list",
    "photo": "an image that is a photo of an evaluation list",
    "person": "a person who looks like one of an evaluation list",
    "twin": "two people who look like one",
    "outlier": "an image that looks like another person of the set",
    "unaligned": "faces do not lie where the crop template has them",
}


@dataclass(frozen=True)
class Problem:
    """Something wrong.

    Args:
        kind: one of ``KINDS``.
        where: the image or the person.
        text: what is wrong, in words.
        other: the other image or person, where two are concerned.
        values: the numbers that it was judged by.
    """

    kind: str
    where: str
    text: str
    other: str = ""
    values: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "problem": self.kind,
            "where": self.where,
            "other": self.other or None,
            "text": self.text,
            **self.values,
        }

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.text}"
