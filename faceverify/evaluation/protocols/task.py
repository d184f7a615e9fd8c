"""What an evaluation is about: which photos it needs, and what is compared with what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pathlib import Path

    from faceverify.evaluation.lists.pair_list import PairList


@dataclass(frozen=True, eq=False)
class Task:
    """An evaluation to be made of P photos.

    Args:
        source: the list, pack or folder.
        protocol: one of ``PROTOCOLS`` that needs pairs or people.
        photos: files, or encoded images, P.
        names: what the list calls them, P.
        pairs: N pairs; None for a folder of people.
        first: position of each pair's first photo, (N,).
        second: likewise.
        identities: who is on each photo, P; empty for a list of pairs.
        notes: what a reader should know, one line each.
        groups: of each pair, N; None where rates by group are not asked for.
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
