"""Random people for tests of galleries."""

from __future__ import annotations

import hashlib
from multiprocessing import Queue

import numpy as np
from numpy.typing import NDArray

from faceverify.gallery.open import open_store
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


def enrol(url: str, first: int, count: int, batch: int, told: Queue | None = None) -> None:
    """Enrol photos ``first``, ``first`` + 1, ... in batches, in a process of its own.

    Args:
        told: gets each photo's number and the sequence number that it was acknowledged with.
    """
    acknowledged: list[tuple[int, int]] = []
    with open_store(url, create=True) as store:
        for start in range(first, first + count, batch):
            added = store.add(enrolments(batch, first=start), model=MODEL)
            numbers = (one.sequence for one in added)
            acknowledged += zip(range(start, start + batch), numbers, strict=True)
    if told is not None:
        told.put(acknowledged)
