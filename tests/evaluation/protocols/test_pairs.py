"""Protocols of pair lists; their figures are tested through the command."""

import numpy as np

from faceverify.evaluation.lists.pair_list import PairList
from faceverify.evaluation.metrics.scores import count_scores
from faceverify.evaluation.protocols.pairs import PairScores, evaluate_pairs


def test_groups_that_no_threshold_can_compare_are_na():
    counts = count_scores([0.1, 0.2], [True, True])
    assert counts.impostors == 0
    pairs = PairList("l", "csv", ["a", "b"], ["c", "d"], np.array([True, True]))
    found, _ = evaluate_pairs(
        PairScores(pairs, np.array([0.1, 0.2]), 4, 0), "m", "id", protocol="10fold",
        groups=["x", "y"], replicates=0,
    )  # fmt: skip
    assert found.estimate("rates").value is None
