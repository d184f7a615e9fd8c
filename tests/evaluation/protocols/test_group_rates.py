"""Error rates by group."""

import numpy as np
import pytest
from hypothesis import given
from scored_pairs import scored

from faceverify.evaluation.protocols.group_rates import group_rates


@given(scored(failures=True))
def test_groups_add_up_to_the_whole(pairs):
    distances, same = pairs
    group = ["x" if step % 3 else "y" for step in range(len(same))]
    rates = group_rates(distances, same, group, 1.0).rates
    assert sum(rate.false_matches for rate in rates.values()) == np.sum((distances <= 1) & ~same)
    assert sum(rate.genuines for rate in rates.values()) == same.sum()


def test_the_ratio_of_worst_to_best():
    distances, group = [0.1, 0.1, 0.9, 0.1, 0.9, 0.9, 0.9], list("aabbbbb")
    found = group_rates(distances, np.zeros(7, bool), group, 0.5)
    assert found.fmr_ratio == pytest.approx(1 / 0.2)
    assert found.fnmr_ratio is None
    assert group_rates([0.9, 0.1], [0, 0], ["a", "b"], 0.5).fmr_ratio is None
