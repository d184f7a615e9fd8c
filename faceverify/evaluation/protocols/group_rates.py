"""Error rates by group at one common threshold, and how far apart they lie.

After Grother, Ngan and Hanaoka, "FRVT Part 3: Demographic Effects", NISTIR 8280, 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.error_rates import ErrorRates, error_rates
from faceverify.evaluation.metrics.scores import checked_scores, count_scores
from faceverify.evaluation.protocols.score_sections import ONE_KIND
from faceverify.evaluation.results import Figure, Section, rate_figure

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class GroupRates:
    """Rates of each group at the common threshold.

    Args:
        threshold: the same for every group.
        rates: by group, in alphabetical order.
        fmr_ratio, fnmr_ratio: worst rate over best; None when fewer than two groups have one, or
            the best is 0 (its ratio to anything is unbounded: read the intervals instead).
    """

    threshold: float
    rates: dict[str, ErrorRates]
    fmr_ratio: float | None
    fnmr_ratio: float | None


def group_rates(
    distances: ArrayLike, same: ArrayLike, group: Sequence[str], threshold: float
) -> GroupRates:
    """Measure each group at a common threshold.

    Args:
        distances: (N,); ``inf`` for a failed comparison.
        same: (N,).
        group: of each comparison, N.
        threshold: comparisons with distance <= threshold match.

    Raises:
        UsageError: another number of groups than of scores.
    """
    values, labels = checked_scores(distances, same)
    if len(group) != len(values):
        raise UsageError(f"groups: found {len(group)} for {len(values)} comparisons")
    names, position = np.unique(np.asarray(group, dtype=str), return_inverse=True)
    rates = {
        str(name): error_rates(
            count_scores(values[position == index], labels[position == index]), threshold
        )
        for index, name in enumerate(names)
    }
    return GroupRates(
        threshold=threshold,
        rates=rates,
        fmr_ratio=_worst_over_best([rate.fmr for rate in rates.values()]),
        fnmr_ratio=_worst_over_best([rate.fnmr for rate in rates.values()]),
    )


def group_section(
    distances: NDArray[np.float64],
    same: NDArray[np.bool_],
    groups: Sequence[str],
    threshold: float | None,
    where: str,
) -> Section:
    """Both error rates of each group, as figures.

    Args:
        distances: (N,).
        same: (N,).
        groups: of each comparison, N.
        threshold: the common one; None where there is none.
        where: it comes from, in few words.
    """
    if threshold is None:
        figure = Figure("rates", "FMR and FNMR by group", None, detail=ONE_KIND)
        return Section("groups", "By group", (figure,))
    result = group_rates(distances, same, groups, threshold)
    figures = [Figure("threshold", "common threshold", threshold, "distance", detail=where)]
    for name, rates in result.rates.items():
        figures += [
            rate_figure(f"{name}: fmr", f"{name}: FMR (FAR)", rates.false_matches, rates.impostors),
            rate_figure(
                f"{name}: fnmr", f"{name}: FNMR (FRR)", rates.false_non_matches, rates.genuines
            ),
        ]
    for key, ratio in (("fmr", result.fmr_ratio), ("fnmr", result.fnmr_ratio)):
        why = "" if ratio is not None else "needs two groups, and none with a rate of 0"
        figures.append(
            Figure(
                f"{key}_ratio", f"{key.upper()}, worst group over best", ratio, "number", detail=why
            )
        )
    return Section("groups", "By group", tuple(figures))


def _worst_over_best(rates: list[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return max(known) / min(known) if len(known) > 1 and min(known) > 0 else None
