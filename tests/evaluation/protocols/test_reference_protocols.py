"""The oracle is the usual algorithm, written out plainly from its description."""

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import auc as area_under
from sklearn.model_selection import KFold
from sklearn.preprocessing import normalize

from faceverify.errors import UsageError
from faceverify.evaluation.protocols.reference_protocols import facenet, insightface


def pairs(seed, count=600, size=32, noise=0.9):
    draws = np.random.default_rng(seed)
    first = draws.standard_normal((count, size))
    same = np.tile(np.repeat([True, False], count // 20), 10)
    second = np.where(same[:, None], first, draws.standard_normal((count, size)))
    second = second + noise * draws.standard_normal((count, size))
    return normalize(first), normalize(second), same


def rates(distances, same, threshold):
    accepted = distances < threshold
    true, false = np.sum(accepted & same), np.sum(accepted & ~same)
    right = true + np.sum(~accepted & ~same)
    return true / np.sum(same), false / np.sum(~same), right / len(same)


def usual(first, second, same, far_target=1e-3):
    distances = np.sum((first - second) ** 2, axis=1)
    accuracies, vals, fars, curves = [], [], [], []
    for train, test in KFold(n_splits=10, shuffle=False).split(distances):
        grid = np.arange(0, 4, 0.01)
        trained = [rates(distances[train], same[train], t)[2] for t in grid]
        chosen = grid[int(np.argmax(trained))]
        accuracies.append(rates(distances[test], same[test], chosen)[2])
        curves.append([rates(distances[test], same[test], t)[:2] for t in grid])
        fine = np.arange(0, 4, 0.001)
        far = np.array([np.mean(distances[train][~same[train]] < t) for t in fine])
        threshold = 0.0
        if far.max() >= far_target:
            threshold = float(interp1d(far, fine, kind="linear")(far_target))
        val, far_there, _ = rates(distances[test], same[test], threshold)
        vals.append(val)
        fars.append(far_there)
    tpr, fpr = np.mean(curves, axis=0).T
    eer = brentq(lambda x: 1 - x - interp1d(fpr, tpr)(x), 0, 1)
    return {
        "accuracy": np.mean(accuracies), "accuracy_std": np.std(accuracies),
        "val": np.mean(vals), "val_std": np.std(vals), "far": np.mean(fars),
        "auc": area_under(fpr, tpr), "eer": eer,
    }  # fmt: skip


@pytest.mark.thorough(but=("0-0.001",))
@pytest.mark.parametrize(("seed", "far"), [(0, 1e-3), (1, 1e-2), (2, 0.1), (3, 0.0317)])
def test_facenet_to_the_digit(seed, far):
    data = pairs(seed)
    found, oracle = facenet(*data, far_target=far), usual(*data, far_target=far)
    for name, value in oracle.items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-9), name
    assert f"{found.accuracy:.9f}" == f"{oracle['accuracy']:.9f}"


@pytest.mark.thorough
def test_val_interpolates_between_thresholds():
    first, second, same = pairs(8, count=2000)
    small = (first * 0.1, second * 0.1, same)  # squared distances below 0.04: 40 thresholds
    found, oracle = facenet(*small, far_target=0.05), usual(*small, far_target=0.05)
    assert (found.val, found.far) == pytest.approx((oracle["val"], oracle["far"]), abs=1e-9)


@pytest.mark.thorough
def test_insightface_normalises():
    first, second, same = pairs(4)
    found = insightface(first * 7, second * np.linspace(1, 9, 600)[:, None], same)
    oracle = usual(first, second, same)
    assert found.accuracy == pytest.approx(oracle["accuracy"], abs=1e-12)
    assert found.accuracy_std == pytest.approx(oracle["accuracy_std"], abs=1e-12)


def test_uneven_folds_ties_on_the_grid_and_strict_comparison():
    same = np.arange(205) % 2 == 0
    angle = np.arccos(np.linspace(1, 0.985, 205))  # squared distances 2 - 2 cos: many on the grid
    first = np.column_stack([np.ones(205), np.zeros(205)])
    second = np.column_stack([np.cos(angle), np.sin(angle)])
    found, oracle = facenet(first, second, same), usual(first, second, same)
    assert (found.accuracy, found.accuracy_std) == pytest.approx(
        (oracle["accuracy"], oracle["accuracy_std"]), abs=1e-12
    )


def test_where_the_usual_scripts_crash():
    first, second, same = pairs(6, count=40)
    found = facenet(first, second, np.arange(40) < 20)  # genuine first: folds of one kind
    assert found.val is found.auc is None
    assert 0 <= found.accuracy <= 1
    with pytest.raises(UsageError, match="found 9 pairs"):
        facenet(first[:9], second[:9], same[:9])
    with pytest.raises(UsageError, match="found nan"):
        facenet(first * np.nan, second, same)
