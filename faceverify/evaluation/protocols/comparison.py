"""Is one model better than another? The difference of their figures over the same people.

A paired bootstrap: replicate r draws the same people for both models, so that what is hard for both
cancels out. The p-value is the share of replicates on the other side of 0, doubled (Efron and
Tibshirani, "An Introduction to the Bootstrap", 1993, section 16.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.intervals.bootstrap import Replicates, interval
from faceverify.evaluation.metrics.error_rates import FMR_TARGETS
from faceverify.evaluation.protocols.score_sections import tar_key
from faceverify.evaluation.results import Evaluation, Figure, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

Rows = NDArray[np.float64]


def difference_section(
    base: tuple[Evaluation, Replicates | None], other: tuple[Evaluation, Replicates | None]
) -> Section:
    """Figures of another model less those of the base, with interval and p-value.

    Args:
        base: an evaluation, and its replicates.
        other: of the same pairs, with replicates of the same seed.
    """
    figures = []
    for key, one, two in _replicated(base[1], other[1]):
        first, second = base[0].figure(key), other[0].figure(key)
        if first is None or second is None:
            continue
        name = f"difference in {first.name}"
        if first.value is None or second.value is None or one is None or two is None:
            figures.append(Figure(key, name, None, first.unit, detail=first.detail))
            continue
        gap = two - one
        probability = p_value(gap)
        figures.append(
            Figure(
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
    return Section(f"difference {other[0].model_id}", title, tuple(figures))


def p_value(differences: Rows) -> float | None:
    """Two-sided p-value of the hypothesis that there is no difference; None where few can say."""
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
