"""The linear classifier: batch normalisation and softmax, written out in torch's place."""

import numpy as np
import pytest

from faceverify.errors import UsageError
from faceverify.evaluation.metrics import linear_classifier
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.metrics.linear_classifier import PENALTY, classify


def cloud(photos, people=4, size=6, seed=0):
    draws = np.random.default_rng(seed)
    code = np.arange(photos) % people
    centres = np.random.default_rng(9).standard_normal((people, size))
    return unit_rows(centres[code] + 1.5 * draws.standard_normal((photos, size))), code


def test_it_is_the_optimum_of_the_softmax():
    """Gradient descent on the loss: sum of cross-entropies and half the squared weights over C."""
    rows, code = cloud(80)
    asked, _ = cloud(300, seed=1)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    x = (rows - mean) / deviation
    weight, bias = np.zeros((4, 6)), np.zeros(4)
    for _ in range(4000):
        logits = x @ weight.T + bias
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        error = shares - np.eye(4)[code]
        weight -= 0.02 * (error.T @ x + weight / PENALTY)
        bias -= 0.02 * error.sum(axis=0)
    expected = (((asked - mean) / deviation) @ weight.T + bias).argmax(axis=1)
    found = classify(rows, code, asked)
    assert found.converged
    assert np.mean(found.predicted == expected) > 0.99
    assert 0.3 < np.mean(found.predicted == np.arange(300) % 4) < 1


def test_scale_and_shift_of_dimensions_do_not_matter():
    """Batch normalisation undoes them; unit rows are what comes in, so one is shifted outside."""
    rows, code = cloud(80)
    asked, _ = cloud(50, seed=1)
    assert classify(3 * rows, code, 0.1 * asked).predicted.tolist() == (
        classify(rows, code, asked).predicted.tolist()
    )


def test_a_dimension_that_never_changes():
    rows, code = cloud(40)
    rows = unit_rows(np.hstack([rows, np.ones((40, 1))]))
    rows[:, -1] = rows[0, -1]
    assert len(classify(rows, code, rows[:7]).predicted) == 7


def test_what_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(linear_classifier, "MOST_LOGITS", 300)
    rows, code = cloud(80)
    with pytest.raises(UsageError, match="80 photos of 4 people make a softmax"):
        classify(rows, code, rows)


def test_an_early_stop_is_known(monkeypatch):
    monkeypatch.setattr(linear_classifier, "STEPS", 1)
    rows, code = cloud(80)
    assert not classify(rows, code, rows).converged
