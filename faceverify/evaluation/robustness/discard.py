"""Error-versus-discard curves of a quality measure under each kind of degradation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from faceverify.evaluation.metrics.error_versus_discard import DiscardCurve, error_versus_discard
from faceverify.evaluation.metrics.exact_distances import STEPS
from faceverify.evaluation.robustness.faces import CLEAN, DegradedFaces
from faceverify.evaluation.robustness.rates import compare

ALL = "all kinds"


@dataclass(frozen=True, eq=False)
class KindDiscard:
    """Curves of one kind of degradation, all strengths and the clean photos together.

    Args:
        kind: of degradation.
        fmr: of impostor comparisons; None without any.
        fnmr: of genuine comparisons; None without any.
    """

    kind: str
    fmr: DiscardCurve | None
    fnmr: DiscardCurve | None


def discard_curves(
    faces: Sequence[DegradedFaces], identities: Sequence[str], threshold: float
) -> list[KindDiscard]:
    """Curves of each kind, and of all kinds together.

    The comparisons are those of photos degraded alike; the quality of one is the lower one of its
    two faces'. Photos without an embedding are in none of them: what is refused is discarded
    already.

    Args:
        faces: sets of faces of the same N photos, the clean ones among them.
        identities: of the photos, N.
        threshold: comparisons with distance <= threshold match.
    """
    _, code = np.unique(np.asarray(identities, dtype=str), return_inverse=True)
    found: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    for one in faces:
        made = compare(one, one)
        genuine = code[made.first] == code[made.second]
        quality = np.minimum(one.quality[made.first], one.quality[made.second])
        wrong = (made.steps <= threshold * STEPS) != genuine
        found.setdefault(one.kind, []).append((quality, wrong, genuine))
    clean = found.pop(CLEAN, [])
    kinds = {kind: [*clean, *parts] for kind, parts in found.items()}
    if len(kinds) > 1:
        kinds[ALL] = [*clean, *chain.from_iterable(found.values())]
    return [_of_kind(kind, parts) for kind, parts in kinds.items()]


def _of_kind(kind: str, parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> KindDiscard:
    quality, wrong, genuine = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    fmr, fnmr = (error_versus_discard(quality[kept], wrong[kept]) for kept in (~genuine, genuine))
    return KindDiscard(kind, fmr, fnmr)
