"""The calibrated probability of a set of scores, as figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faceverify.evaluation.figures import Figure, Section
from faceverify.matching.calibration import Reliability, fit_probability, reliability

if TYPE_CHECKING:
    from faceverify.evaluation.scores import ScoreCounts


def probability_section(counts: ScoreCounts) -> tuple[Section, Reliability | None]:
    """Fit a probability to scores and measure it on them; two parameters, so hardly flattered.

    Failed comparisons have no probability and are left out here.
    """
    title = "Calibrated probability (logistic, prior one half)"
    made = counts.distances, counts.genuine, counts.impostor
    if not counts.genuine.sum() or not counts.impostor.sum() or len(counts.distances) < 2:
        why = "needs genuine and impostor comparisons at different distances"
        figure = Figure("brier_score", "Brier score", None, "number", detail=why)
        return Section("probability", title, (figure,)), None
    model = fit_probability(*made)
    found = reliability(model, *made)
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
            "Brier score",
            found.brier,
            "number",
            detail="0 is perfect, 0.25 says nothing",
        ),
        Figure(
            "expected_calibration_error",
            "expected calibration error",
            found.expected_error,
            "number",
            extra={"bins": bins},
        ),
    )
    return Section("probability", title, figures), found
