"""A benchmark: its photos, and their pairs or identities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pathlib import Path

    from faceverify.evaluation.lists.pair_list import PairList


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A benchmark of P photos.

    Args:
        source: the list, pack or folder.
        protocol: one of ``PROTOCOLS`` that needs pairs or identities.
        photos: files, or encoded images, P.
        names: of the photos in the list, P.
        pairs: N pairs; None for protocols on identities.
        first: index of the first photo of each pair, (N,).
        second: likewise.
        identities: of the photos, P; empty for protocols on pairs.
        notes: caveats, one line each.
        groups: of each pair, N; None without rates by group.
        training: whether the list has each photo for training, P; None without such a split.
    """

    source: str
    protocol: str
    photos: list[Path | bytes]
    names: list[str]
    pairs: PairList | None
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    identities: list[str]
    notes: tuple[str, ...] = ()
    groups: list[str] | None = None
    training: list[bool] | None = None
