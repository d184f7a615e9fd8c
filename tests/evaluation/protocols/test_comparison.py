"""Paired comparison of two models."""

import numpy as np
import pytest
from evaluated_pairs import evaluated_pairs
from measured_embeddings import measured as measured_embeddings
from scored_pairs import lfw_like

from faceverify.evaluation.intervals.bootstrap import bootstrap, interval
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.options import ProtocolOptions
from faceverify.evaluation.protocols import few_shot, knn, linear, representation, retrieval
from faceverify.evaluation.protocols.comparison import difference_section, p_value
from faceverify.evaluation.protocols.protocol import Measurement
from faceverify.evaluation.protocols.score_sections import replicates_by_key


def measured(evaluated):
    found, replicates, _ = evaluated
    return Measurement(found, replicates_by_key(replicates))


def test_a_better_model_is_told_from_a_worse_one():
    """The same seed draws the same people: the difference is paired."""
    worse, better = evaluated_pairs(spread=0.2, name="w"), evaluated_pairs(spread=0.12, name="b")
    section = difference_section(measured(worse), measured(better))
    by_key = {estimate.key: estimate for estimate in section.estimates}
    assert by_key["auc"].value > 0
    assert by_key["auc"].interval.low > 0
    assert by_key["auc"].extra["p_value"] < 0.05
    assert by_key["eer"].interval.high < 0
    assert by_key["tar_at_1e-3"].value is None


def test_a_model_does_not_differ_from_itself():
    one = evaluated_pairs()
    for estimate in difference_section(measured(one), measured(one)).estimates:
        if estimate.value is not None:
            assert estimate.value == 0
            assert estimate.extra["p_value"] == 1


JUDGES = {
    "knn": (knn, {}, {"nearest", "knn"}),
    "linear": (linear, {}, {"linear"}),
    "few-shot": (few_shot, {"queries": 4, "episodes": 40, "shots": (1, 5)},
                 {"5_way_1_shot", "5_way_5_shot"}),
    "retrieval": (retrieval, {}, {"recall_at_1", "recall_at_10", "map", "r_precision", "map_at_r"}),
    "representation": (representation, {},
                       {"alignment", "uniformity", "within", "between", "ratio"}),
}  # fmt: skip


def people_in_noise(*noises):
    """Embeddings of eight people, ten photos each, by models of which one has more noise."""
    draws = np.random.default_rng(0)
    names = [f"p{i % 8}" for i in range(80)]
    means, noise = (
        draws.standard_normal((8, 16))[np.arange(80) % 8],
        draws.standard_normal((80, 16)),
    )
    return [unit_rows(means + one * noise) for one in noises], names


@pytest.mark.parametrize("name", JUDGES)
def test_protocols_that_judge_are_compared_over_the_same_people(name):
    protocol, options, keys = JUDGES[name]
    rows, names = people_in_noise(1.2, 0.6)
    worse, better = (
        measured_embeddings(
            protocol.evaluate, one, names, replicates=200, options=ProtocolOptions(**options)
        )
        for one in rows
    )
    for estimate in difference_section(worse, worse).estimates:
        assert (estimate.value, estimate.extra["p_value"]) == (0, 1)
    found = {one.key: one for one in difference_section(worse, better).estimates}
    assert keys <= found.keys()
    for key, one in found.items():
        first, second = (each.evaluation.estimate(key) for each in (worse, better))
        assert one.value == pytest.approx(second.value - first.value)
        if first.method != "wilson":  # few errors
            assert interval(worse.replicates[key]) == first.interval
        assert one.interval.low <= one.value <= one.interval.high
    assert min(found[key].extra["p_value"] for key in keys) < 0.05


def test_other_people_are_not_compared():
    """Without a face in some photos, another model may know other people."""
    (rows,), names = people_in_noise(0.6)
    enrolled = np.array([one != "p0" for one in names])
    found = measured_embeddings(
        representation.evaluate, rows, names, enrolled=enrolled, replicates=20
    )
    assert not found.replicates


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
