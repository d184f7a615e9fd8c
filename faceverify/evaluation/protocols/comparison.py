"""Paired comparison of two models: differences of estimates, with intervals and p-values.

A paired bootstrap: replicate r has the same identities for both models, so that what is hard for
both cancels out. The two-sided p-value is twice the share of replicates on the other side of 0
(Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 16.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.intervals.bootstrap import Replicates, interval
from faceverify.evaluation.metrics.error_rates import FMR_TARGETS
from faceverify.evaluation.protocols.score_sections import tar_key
from faceverify.evaluation.results import Estimate, Evaluation, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

Rows = NDArray[np.float64]


def difference_section(
    base: tuple[Evaluation, Replicates | None], other: tuple[Evaluation, Replicates | None]
) -> Section:
    """Estimates of another model minus those of the base, with interval and p-value.

    Args:
        base: evaluation of the base model, and its replicates.
        other: of the other model, on the same pairs and with the same seed.
    """
    estimates = []
    for key, one, two in _replicated(base[1], other[1]):
        first, second = base[0].estimate(key), other[0].estimate(key)
        if first is None or second is None:
            continue
        name = f"difference in {first.name}"
        if first.value is None or second.value is None or one is None or two is None:
            estimates.append(Estimate(key, name, None, first.unit, detail=first.detail))
            continue
        gap = two - one
        probability = p_value(gap)
        estimates.append(
            Estimate(
                key,
                name,
                second.value - first.value,
                first.unit,
                interval(gap),
                "identities",
                "" if probability is None else f"p = {probability:.3f}",
                {"p_value": probability},
            )
        )
    title = f"{other[0].model} less {base[0].model}"
    return Section(f"difference {other[0].model_id}", title, tuple(estimates))


def p_value(differences: Rows) -> float | None:
    """Two-sided p-value of a difference of 0; None when most replicates are NaN."""
    known = differences[~np.isnan(differences)]
    if 2 * len(known) < len(differences):
        return None
    smaller = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return float(min(2 * (smaller + 1) / (len(known) + 1), 1.0))


def _replicated(
    base: Replicates | None, other: Replicates | None
) -> Iterator[tuple[str, Rows | None, Rows | None]]:
    if base is None or other is None:
        return
    yield "accuracy", base.accuracy, other.accuracy
    yield "auc", base.auc, other.auc
    yield "eer", base.eer, other.eer
    for target in FMR_TARGETS:
        yield tar_key(target), base.tmr.get(target), other.tmr.get(target)
