"""Random people for tests of galleries."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from faceverify.gallery.store import Enrolment

MODEL = "0123456789abcdef"


def unit_rows(count: int, *, dimension: int = 16, seed: int = 0) -> NDArray[np.float32]:
    """Random directions, (count, dimension)."""
    rows = np.random.default_rng(seed).normal(size=(count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def enrolments(
    count: int, *, people: int | None = None, first: int = 0, dimension: int = 16, seed: int = 0
) -> list[Enrolment]:
    """Templates of photos ``first``, ``first`` + 1, ... of as many people, or of fewer in turn."""
    rows = unit_rows(count, dimension=dimension, seed=seed + first)
    return [
        Enrolment(
            name=f"person {number % people if people else number}",
            embedding=row,
            photo=f"/photos/{number}.jpg",
            photo_hash=hashlib.sha256(str(number).encode()).digest(),
            quality=(number % 97) / 97,
        )
        for number, row in enumerate(rows, start=first)
    ]
