"""From a distance to a probability: logistic regression on scores (Platt, 1999), and its quality.

A probability needs a prior. These are for a prior of one half: genuine and impostor comparisons
weigh the same in total, however many there are of each. For another prior p, add
log(p / (1 - p)) to the log odds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceverify.errors import UsageError

BINS = 10
MOST_DISTANCES = 4096  # distinct ones fitted; more are binned


@dataclass(frozen=True)
class ProbabilityModel:
    """P(same person) = 1 / (1 + exp(-(intercept + slope * distance))).

    Args:
        intercept: log odds at distance 0.
        slope: change of the log odds over a distance of 1; below 0 for a model that works.
    """

    intercept: float
    slope: float

    def probability(self, distance: ArrayLike) -> NDArray[np.float64]:
        """Probability of the same person at prior one half, of any shape; 0 at ``inf``."""
        values = np.asarray(distance, np.float64)
        made = np.isfinite(values)
        odds = self.intercept + self.slope * np.where(made, values, 0)
        return np.where(made, 1 / (1 + np.exp(-np.clip(odds, -500, 500))), 0.0)


@dataclass(frozen=True, eq=False)
class Reliability:
    """How far probabilities can be taken at their word.

    Args:
        told: mean probability in each of B bins that are not empty, (B,).
        observed: share of genuine comparisons in it, (B,).
        weight: share of all comparisons in it, (B,).
        brier: mean squared error of the probabilities; 0.25 for always saying one half.
        expected_error: mean distance of told from observed (expected calibration error).
    """

    told: NDArray[np.float64]
    observed: NDArray[np.float64]
    weight: NDArray[np.float64]
    brier: float
    expected_error: float


def fit_probability(
    distances: NDArray[np.float64], genuine: NDArray[np.int64], impostor: NDArray[np.int64]
) -> ProbabilityModel:
    """Fit by maximum likelihood, without a penalty.

    Args:
        distances: K distinct, finite, ascending, (K,).
        genuine, impostor: comparisons at each, (K,) each.

    Raises:
        UsageError: one kind is missing, or all distances are one.
    """
    from sklearn.linear_model import LogisticRegression

    if not genuine.sum() or not impostor.sum() or len(distances) < 2:
        raise UsageError(
            "probability: needs genuine and impostor comparisons at different distances"
        )
    distances, genuine, impostor = binned(distances, genuine, impostor)
    centre, spread = float(np.mean(distances)), float(np.std(distances)) or 1.0
    scaled = np.tile((distances - centre) / spread, 2)[:, None]
    labels = np.repeat([1, 0], len(distances))
    weights = np.concatenate((genuine / genuine.sum(), impostor / impostor.sum()))
    weights *= genuine.sum() + impostor.sum()
    used = weights > 0
    # A penalty of nearly none: kinds that do not overlap would have an infinite slope.
    fit = LogisticRegression(C=1e6, tol=1e-8, max_iter=1000)
    fit.fit(scaled[used], labels[used], sample_weight=weights[used])
    slope = float(fit.coef_[0, 0]) / spread
    return ProbabilityModel(float(fit.intercept_[0]) - slope * centre, slope)


def reliability(
    model: ProbabilityModel,
    distances: NDArray[np.float64],
    genuine: NDArray[np.int64],
    impostor: NDArray[np.int64],
) -> Reliability:
    """Measure a probability model, both kinds weighing the same in total.

    Args:
        model: what told the probabilities.
        distances: finite, (K,).
        genuine, impostor: comparisons at each, (K,) each.

    Raises:
        UsageError: one kind is missing.
    """
    if not genuine.sum() or not impostor.sum():
        raise UsageError("reliability: needs genuine and impostor comparisons")
    same, other = genuine / genuine.sum() / 2, impostor / impostor.sum() / 2
    probability = model.probability(distances)
    place = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    weight = np.bincount(place, weights=same + other, minlength=BINS)
    sum_told = np.bincount(place, weights=(same + other) * probability, minlength=BINS)
    sum_same = np.bincount(place, weights=same, minlength=BINS)
    kept = weight > 0
    told, observed = sum_told[kept] / weight[kept], sum_same[kept] / weight[kept]
    weight = weight[kept]
    return Reliability(
        told=np.asarray(told),
        observed=np.asarray(observed),
        weight=np.asarray(weight),
        brier=float(np.sum(same * (1 - probability) ** 2 + other * probability**2)),
        expected_error=float(np.sum(weight * np.abs(told - observed))),
    )


def binned(
    distances: NDArray[np.float64], genuine: NDArray[np.int64], impostor: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Pool neighbouring distances until at most 4,096 are left, each the mean of its own."""
    if len(distances) <= MOST_DISTANCES:
        return distances, genuine, impostor
    edges = np.linspace(distances[0], distances[-1], MOST_DISTANCES + 1)[1:-1]
    place = np.searchsorted(edges, distances, side="right")
    both = genuine + impostor
    weight = np.bincount(place, weights=both, minlength=MOST_DISTANCES)
    kept = weight > 0
    mean = np.bincount(place, weights=both * distances, minlength=MOST_DISTANCES)[kept]
    pooled = (
        np.bincount(place, weights=column, minlength=MOST_DISTANCES)[kept].astype(np.int64)
        for column in (genuine, impostor)
    )
    return (mean / weight[kept], *pooled)  # type: ignore[return-value]
