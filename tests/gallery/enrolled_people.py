"""Random people for tests of galleries."""

from __future__ import annotations

import hashlib
import multiprocessing
from multiprocessing import Queue
from multiprocessing.context import ForkServerContext

import numpy as np
from numpy.typing import NDArray

from faceverify.gallery.open import open_store
from faceverify.gallery.store import Enrollment

MODEL = "0123456789abcdef"


def unit_rows(count: int, *, dimension: int = 16, seed: int = 0) -> NDArray[np.float32]:
    """Random directions, (count, dimension)."""
    rows = np.random.default_rng(seed).normal(size=(count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def enrollments(
    count: int, *, people: int | None = None, first: int = 0, dimension: int = 16, seed: int = 0
) -> list[Enrollment]:
    """Templates of photos ``first``, ``first`` + 1, ..., dealt out to the people in turn."""
    rows = unit_rows(count, dimension=dimension, seed=seed + first)
    return [
        Enrollment(
            name=f"person {number % people if people else number}",
            embedding=row,
            photo=f"/photos/{number}.jpg",
            photo_hash=hashlib.sha256(str(number).encode()).digest(),
            quality=(number % 97) / 97,
        )
        for number, row in enumerate(rows, start=first)
    ]


def clean_processes() -> ForkServerContext:
    """Processes of which none inherits a connection or a thread, and all share one import."""
    context = multiprocessing.get_context("forkserver")
    engines = [f"faceverify.gallery.{one}.store" for one in ("sqlite", "postgresql")]
    context.set_forkserver_preload([*engines, "faceverify.recognition.admission"])
    return context


def enroll(url: str, first: int, count: int, batch: int, told: Queue | None = None) -> None:
    """Enroll photos ``first``, ``first`` + 1, ... in batches, in a separate process.

    Args:
        told: gets each photo's number and the sequence number that it was acknowledged with.
    """
    acknowledged: list[tuple[int, int]] = []
    with open_store(url, create=True) as store:
        for start in range(first, first + count, batch):
            added = store.add(enrollments(batch, first=start), model=MODEL)
            numbers = (one.sequence for one in added)
            acknowledged += zip(range(start, start + batch), numbers, strict=True)
    if told is not None:
        told.put(acknowledged)
