"""Paired comparison of two models."""

import numpy as np
import pytest
from evaluated_pairs import evaluated_pairs
from scored_pairs import lfw_like

from faceverify.evaluation.intervals.bootstrap import bootstrap
from faceverify.evaluation.protocols.comparison import difference_section, p_value


def test_a_better_model_is_told_from_a_worse_one():
    """The same seed draws the same people: the difference is paired."""
    worse, better = evaluated_pairs(spread=0.2, name="w"), evaluated_pairs(spread=0.12, name="b")
    section = difference_section(worse[:2], better[:2])
    by_key = {estimate.key: estimate for estimate in section.estimates}
    assert by_key["auc"].value > 0
    assert by_key["auc"].interval.low > 0
    assert by_key["auc"].extra["p_value"] < 0.05
    assert by_key["eer"].interval.high < 0
    assert by_key["tar_at_1e-3"].value is None


def test_a_model_does_not_differ_from_itself():
    one = evaluated_pairs()
    for estimate in difference_section(one[:2], one[:2]).estimates:
        if estimate.value is not None:
            assert estimate.value == 0
            assert estimate.extra["p_value"] == 1


def test_pairing_narrows_the_difference():
    """Models that err on the same people differ by less than their own intervals suggest."""
    distances, same, _, first, second = lfw_like(pairs=2000, people=900)
    nudged = distances + 0.005 * np.random.default_rng(1).standard_normal(2000)
    one, two = (bootstrap(d, same, first, second, replicates=300) for d in (distances, nudged))
    assert np.std(two.auc - one.auc) < 0.3 * np.std(one.auc)


def test_p_values():
    assert p_value(np.full(99, 1.0)) == pytest.approx(0.02)
    assert p_value(np.concatenate((np.ones(50), -np.ones(50)))) == 1
    assert p_value(np.full(10, np.nan)) is None
