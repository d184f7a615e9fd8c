"""The calibrated probability of a set of scores, as figures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from faceverify.evaluation.results import Evaluation, Figure, Section
from faceverify.matching.probability import Reliability, fit_probability, reliability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceverify.evaluation.metrics.scores import ScoreCounts


def with_probability(found: Evaluation, folds: Sequence[ScoreCounts]) -> Evaluation:
    """Add the calibrated probability of the scores, measured over folds of people too."""
    assert found.counts is not None
    section, how_reliable = probability_section(found.counts, folds)
    return replace(found, sections=(*found.sections, section), reliability=how_reliable)


def probability_section(
    counts: ScoreCounts, folds: Sequence[ScoreCounts]
) -> tuple[Section, Reliability | None]:
    """Fit a probability to scores; measure it on them, and on people it was not fitted to.

    Failed comparisons have no probability and are left out here.

    Args:
        counts: all scores; the curve and its reliability are of these.
        folds: the scores within each fold of people, as ``people_folds`` gives them.
    """
    title = "Calibrated probability (logistic, prior one half)"
    made = counts.distances, counts.genuine, counts.impostor
    if not counts.genuine.sum() or not counts.impostor.sum() or len(counts.distances) < 2:
        why = "needs genuine and impostor comparisons at different distances"
        figure = Figure("brier_score", "Brier score", None, "number", detail=why)
        return Section("probability", title, (figure,)), None
    model = fit_probability(*made)
    found = reliability(model, *made)
    unseen = brier_out_of_fold(folds)
    few = "needs both kinds of comparison in each fold's rest"
    middle = -model.intercept / model.slope if model.slope else None
    bins = [
        {"told": told, "observed": seen, "weight": weight}
        for told, seen, weight in zip(
            found.told.tolist(), found.observed.tolist(), found.weight.tolist(), strict=True
        )
    ]
    figures = (
        Figure("intercept", "log odds at distance 0", model.intercept, "number"),
        Figure("slope", "log odds for each 1 of distance", model.slope, "number"),
        Figure("even_odds", "distance at probability one half", middle, "distance"),
        Figure(
            "brier_score",
            "Brier score, on the scores it was fitted to",
            found.brier,
            "number",
            detail="0 is perfect, 0.25 says nothing",
        ),
        Figure(
            "brier_score_out_of_fold",
            "Brier score, on other people",
            unseen,
            "number",
            detail=f"{len(folds)} folds by identity" if unseen is not None else few,
        ),
        Figure(
            "expected_calibration_error",
            "expected calibration error, on the scores it was fitted to",
            found.expected_error,
            "number",
            extra={"bins": bins},
        ),
    )
    return Section("probability", title, figures), found


def brier_out_of_fold(folds: Sequence[ScoreCounts]) -> float | None:
    """Brier score of each fold under the curve fitted to all others, both kinds weighing the same.

    Args:
        folds: the scores within each fold of people.

    Returns:
        None where a fold's rest, or all of them together, lack a kind of comparison.
    """
    squares, comparisons = np.zeros(2), np.zeros(2)  # genuine, impostor
    if len(folds) < 2:
        return None
    for left_out, fold in enumerate(folds):
        rest = [other for index, other in enumerate(folds) if index != left_out]
        distances, place = np.unique(
            np.concatenate([other.distances for other in rest]), return_inverse=True
        )
        genuine, impostor = np.zeros((2, len(distances)), np.int64)
        np.add.at(genuine, place, np.concatenate([other.genuine for other in rest]))
        np.add.at(impostor, place, np.concatenate([other.impostor for other in rest]))
        if not genuine.any() or not impostor.any() or len(distances) < 2:
            return None
        told = fit_probability(distances, genuine, impostor).probability(fold.distances)
        squares += (fold.genuine @ (1 - told) ** 2, fold.impostor @ told**2)
        comparisons += (fold.genuine.sum(), fold.impostor.sum())
    return float(np.mean(squares / comparisons)) if comparisons.all() else None
