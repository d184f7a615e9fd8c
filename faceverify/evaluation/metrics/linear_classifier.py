"""Linear classification of frozen embeddings: batch normalisation without affine, and a softmax.

The linear probe of self-supervised learning (He et al., "Masked autoencoders", 2022,
https://arxiv.org/abs/2111.06377, appendix A.1). Batch normalisation without affine is, once
learned, a subtraction of the mean and a division by the standard deviation; the softmax is
scikit-learn's multinomial logistic regression, whose optimum is unique.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.exact_distances import unit_rows

PENALTY = 1.0  # C of scikit-learn: the inverse of the weight of the squared L2 norm
MOST_LOGITS = 2**28  # photos x people: 2 GiB, of which the optimiser keeps a few
STEPS, TOLERANCE = 2000, 1e-6  # of L-BFGS; printed digits must not depend on where it stops


@dataclass(frozen=True, eq=False)
class LinearAnswers:
    """What a linear classifier says of Q photos.

    Args:
        predicted: number of the person, (Q,).
        converged: whether the optimum was reached.
    """

    predicted: NDArray[np.int64]
    converged: bool


def classify(
    learned: NDArray[np.floating], codes: NDArray[np.int64], asked: NDArray[np.floating]
) -> LinearAnswers:
    """Train on embeddings with people, and classify others.

    Args:
        learned: embeddings, (N, D).
        codes: number of each one's person, of two people at least, (N,).
        asked: embeddings, (Q, D).

    Raises:
        ModelError: an embedding is NaN, infinite or zero.
        UsageError: it does not fit into memory.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    people = len(np.unique(codes))
    if len(learned) * people > MOST_LOGITS:
        raise UsageError(
            f"{len(learned):,} photos of {people:,} people make a softmax of "
            f"{8 * len(learned) * people / 2**30:.1f} GiB, more than {8 * MOST_LOGITS / 2**30:.0f}",
            cure="use --protocol knn, or a part of the people",
        )
    rows, others = (unit_rows(part).astype(np.float64) for part in (learned, asked))
    scaler = StandardScaler().fit(rows)
    softmax = LogisticRegression(C=PENALTY, max_iter=STEPS, tol=TOLERANCE)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        softmax.fit(scaler.transform(rows), codes)
    if not len(others):
        return LinearAnswers(np.zeros(0, np.int64), not caught)
    return LinearAnswers(np.asarray(softmax.predict(scaler.transform(others))), not caught)
