"""Paired comparison of two models: differences of estimates, with intervals and p-values.

A paired bootstrap: replicate r has the same identities for both models, so that what is hard for
both cancels out. The two-sided p-value is twice the share of replicates on the other side of 0
(Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 16.4).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.intervals.bootstrap import interval
from faceverify.evaluation.protocols.protocol import Measurement
from faceverify.evaluation.results import Estimate, Section

Rows = NDArray[np.float64]


def difference_section(base: Measurement, other: Measurement) -> Section:
    """Estimates of another model minus those of the base, with interval and p-value.

    Args:
        base: of the base model.
        other: of the other model, on the same photos and with the same seed.
    """
    estimates = []
    for key, one in base.replicates.items():
        two = other.replicates.get(key)
        first, second = base.evaluation.estimate(key), other.evaluation.estimate(key)
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
    title = f"{other.evaluation.model} less {base.evaluation.model}"
    return Section(f"difference {other.evaluation.model_id}", title, tuple(estimates))


def p_value(differences: Rows) -> float | None:
    """Two-sided p-value of a difference of 0; None when most replicates are NaN."""
    known = differences[~np.isnan(differences)]
    if 2 * len(known) < len(differences):
        return None
    smaller = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return float(min(2 * (smaller + 1) / (len(known) + 1), 1.0))
