"""Score calibration: logistic regression from distance to probability (Platt, 1999), reliability.

The prior is one half: genuine and impostor comparisons have the same total weight, however many
there are of each. For another prior p, add log(p / (1 - p)) to the log odds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceverify.errors import UsageError

BINS = 10
MAX_DISTANCES = 4096  # distinct distances in a fit; more are binned


@dataclass(frozen=True)
class ProbabilityModel:
    """The logistic model P(same person) = 1 / (1 + exp(-(intercept + slope * distance))).

    Args:
        intercept: log odds at distance 0.
        slope: change of the log odds per unit of distance; negative for a useful model.
    """

    intercept: float
    slope: float

    def probability(self, distance: ArrayLike) -> NDArray[np.float64]:
        """Probability of the same person at prior one half, elementwise; 0 for ``inf``."""
        values = np.asarray(distance, np.float64)
        made = np.isfinite(values)
        odds = self.intercept + self.slope * np.where(made, values, 0)
        return np.where(made, 1 / (1 + np.exp(-np.clip(odds, -500, 500))), 0.0)


@dataclass(frozen=True, eq=False)
class Reliability:
    """The reliability diagram of a probability model, with Brier score and calibration error.

    Args:
        predicted: mean predicted probability in each of B non-empty bins, (B,).
        observed: share of genuine comparisons in each bin, (B,).
        weight: share of all comparisons in each bin, (B,).
        brier: Brier score, the mean squared error; 0.25 for the constant one half.
        expected_calibration_error: weighted mean of abs(predicted - observed) (ECE).
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    weight: NDArray[np.float64]
    brier: float
    expected_calibration_error: float


def fit_probability(
    distances: NDArray[np.float64], genuine: NDArray[np.int64], impostor: NDArray[np.int64]
) -> ProbabilityModel:
    """Maximum-likelihood logistic regression on counted scores, without regularisation.

    Args:
        distances: distinct, finite, ascending, (K,).
        genuine, impostor: number of comparisons at each distance, (K,) each.

    Raises:
        UsageError: no genuine or no impostor comparisons, or all distances are equal.
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
    # Nearly no penalty: separable scores would have an infinite slope.
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
    """Reliability of a probability model, with equal total weight of genuine and impostor.

    Args:
        model: the probability model.
        distances: finite, (K,).
        genuine, impostor: number of comparisons at each distance, (K,) each.

    Raises:
        UsageError: no genuine or no impostor comparisons.
    """
    if not genuine.sum() or not impostor.sum():
        raise UsageError("reliability: needs genuine and impostor comparisons")
    same, other = genuine / genuine.sum() / 2, impostor / impostor.sum() / 2
    probability = model.probability(distances)
    place = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    weight = np.bincount(place, weights=same + other, minlength=BINS)
    sum_predicted = np.bincount(place, weights=(same + other) * probability, minlength=BINS)
    sum_same = np.bincount(place, weights=same, minlength=BINS)
    kept = weight > 0
    predicted, observed = sum_predicted[kept] / weight[kept], sum_same[kept] / weight[kept]
    weight = weight[kept]
    return Reliability(
        predicted=np.asarray(predicted),
        observed=np.asarray(observed),
        weight=np.asarray(weight),
        brier=float(np.sum(same * (1 - probability) ** 2 + other * probability**2)),
        expected_calibration_error=float(np.sum(weight * np.abs(predicted - observed))),
    )


def binned(
    distances: NDArray[np.float64], genuine: NDArray[np.int64], impostor: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Counted scores in at most 4,096 equal-width bins, each at the mean distance of its scores."""
    if len(distances) <= MAX_DISTANCES:
        return distances, genuine, impostor
    edges = np.linspace(distances[0], distances[-1], MAX_DISTANCES + 1)[1:-1]
    place = np.searchsorted(edges, distances, side="right")
    both = genuine + impostor
    weight = np.bincount(place, weights=both, minlength=MAX_DISTANCES)
    kept = weight > 0
    mean = np.bincount(place, weights=both * distances, minlength=MAX_DISTANCES)[kept]
    pooled = (
        np.bincount(place, weights=column, minlength=MAX_DISTANCES)[kept].astype(np.int64)
        for column in (genuine, impostor)
    )
    return (mean / weight[kept], *pooled)  # type: ignore[return-value]
