"""FMR and FNMR between two sets of faces of the same photos, with intervals over identities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.intervals.bootstrap import interval
from faceverify.evaluation.metrics.exact_distances import STEPS, distance_steps, exact_rows
from faceverify.evaluation.results import Estimate, rate_estimate
from faceverify.evaluation.robustness.faces import DegradedFaces
from faceverify.matching.operating_point import OperatingPoint
from faceverify.matching.threshold import Calibration, point_at_quality

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Comparisons between two sets of faces of N photos.

    Args:
        first, second: index of the photos of each comparison, (K,) each.
        steps: distance in steps of 2^-23, (K,).
        quality: the lower one of the two faces', in [0, 1], (K,).
    """

    first: Counts
    second: Counts
    steps: NDArray[np.int32]
    quality: NDArray[np.float32]

    def limits(self, point: OperatingPoint, calibration: Calibration) -> NDArray[np.float64]:
        """Largest distance of a match of each comparison: it depends on the quality, (K,)."""
        levels, level = np.unique(self.quality, return_inverse=True)
        each = [point_at_quality(point, calibration, float(one)).threshold for one in levels]
        return np.array(each, np.float64)[level]


def compare(first: DegradedFaces, second: DegradedFaces) -> Comparisons:
    """Every comparison of two different photos that have embeddings.

    Of one set with itself, each pair once; of two sets, each photo of one with each of the other.
    """
    ones, others = np.flatnonzero(first.decided), np.flatnonzero(second.decided)
    if not len(ones) or not len(others):
        nothing = np.zeros(0, np.int64)
        return Comparisons(nothing, nothing, np.zeros(0, np.int32), np.zeros(0, np.float32))
    steps = distance_steps(
        exact_rows(first.embeddings[ones]), exact_rows(second.embeddings[others])
    )
    row, column = np.meshgrid(ones, others, indexing="ij")
    kept = row < column if first is second else row != column
    row, column = row[kept], column[kept]
    quality = np.minimum(first.quality[row], second.quality[column])
    return Comparisons(row, column, steps[kept], quality)


def error_estimates(
    comparisons: Comparisons,
    identities: Sequence[str],
    threshold: float | NDArray[np.float64],
    *,
    replicates: int,
    seed: int = 0,
) -> tuple[Estimate, Estimate]:
    """FMR and FNMR among the comparisons made, with intervals by bootstrap over identities.

    Args:
        comparisons: of N photos.
        identities: of the photos, N.
        threshold: comparisons with distance <= threshold match; one, or one for each, (K,).
        replicates: of the bootstrap; 0 for Wilson's intervals.
        seed: of the resampling.
    """
    names, code = np.unique(np.asarray(identities, dtype=str), return_inverse=True)
    people = len(names)
    pair = code[comparisons.first] * people + code[comparisons.second]
    made = np.bincount(pair, minlength=people * people).reshape(people, people)
    match = comparisons.steps <= threshold * STEPS
    matched = np.bincount(pair[match], minlength=people * people).reshape(people, people)
    genuine, own = int(np.trace(made)), int(np.trace(matched))
    fmr = fnmr = None
    if replicates and people > 1:
        chances = np.full(people, 1 / people)
        draws = np.random.default_rng(seed)
        drawn = draws.multinomial(people, chances, size=replicates).astype(np.float64)  # (R, P)
        with np.errstate(invalid="ignore"):  # a replicate without comparisons: 0 / 0
            fmr = _between(drawn, matched) / _between(drawn, made)
            fnmr = 1 - (drawn @ np.diag(matched)) / (drawn @ np.diag(made))
    return (
        rate_estimate(
            "fmr",
            "FMR (FAR)",
            int(matched.sum()) - own,
            int(made.sum()) - genuine,
            over_identities=interval(fmr),
        ),
        rate_estimate("fnmr", "FNMR (FRR)", genuine - own, genuine, over_identities=interval(fnmr)),
    )


def _between(drawn: NDArray[np.float64], counts: Counts) -> NDArray[np.float64]:
    """Weighted number of impostor comparisons in each replicate, (R,), from counts (P, P)."""
    others = counts - np.diag(np.diag(counts))
    return np.asarray(np.einsum("rp,rp->r", drawn @ others, drawn))
