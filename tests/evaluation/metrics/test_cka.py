"""Linear CKA, by the formula and by the sampling definition of HSIC."""

import itertools

import numpy as np
import pytest

from faceverify.evaluation.metrics.cka import LayerSimilarities, gram, hsic


def features(photos=12, size=5, seed=0):
    return np.random.default_rng(seed).standard_normal((photos, size))


def centred_cka(x, y):
    """Kornblith et al., eq. 1 and 3, biased: |Y^T X|^2 / (|X^T X| |Y^T Y|) of centred features."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    norm = np.linalg.norm
    return norm(y.T @ x) ** 2 / (norm(x.T @ x) * norm(y.T @ y))


def test_hsic_is_the_mean_over_four_photos():
    """The U-statistic written out, of every ordered four different photos (Song et al., eq. 4)."""
    x, y = features(7, 3), features(7, 4, seed=1)
    k, l = x @ x.T, y @ y.T  # noqa: E741
    terms = [
        k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q])
        for i, j, q, r in itertools.permutations(range(7), 4)
    ]
    assert hsic(gram(x + 3), gram(y - 2)) == pytest.approx(np.mean(terms))


def test_minibatches_of_many_photos_come_near_the_formula():
    x = features(1200, 6)
    y = np.tanh(x @ features(6, 4, seed=2)) + 0.3 * features(1200, 4, seed=3)
    found = LayerSimilarities(1, 2)
    for start in range(0, 1200, 30):
        part = slice(start, start + 30)
        found.add([x[part]], [y[part], features(30, 8, seed=start)])
    ((alike, unrelated),) = found.values()
    assert alike == pytest.approx(centred_cka(x, y), abs=0.02)
    assert 0.2 < alike < 0.95
    assert abs(unrelated) < 0.02  # a biased estimate of 30 photos would be about 0.3
    assert centred_cka(x[:30], features(30, 8, seed=9)) > 0.1


def test_rotations_and_scales_are_the_same_layer():
    x = features(40, 6)
    rotation, _ = np.linalg.qr(features(6, 6, seed=4))
    found = LayerSimilarities(2, 2)
    found.add([x, x[:, :2]], [7 * x @ rotation + 5, np.ones((40, 3))])
    values = found.values()
    assert values[0, 0] == pytest.approx(1)
    assert values[1, 0] < 0.9
    assert np.isnan(values[:, 1]).all()  # nothing changes there
