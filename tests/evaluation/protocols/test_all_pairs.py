"""Photos that failed stay in the denominators of all-against-all."""

import numpy as np
import pytest
from measured_embeddings import measured

from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.protocols.all_pairs import evaluate
from faceverify.evaluation.protocols.score_sections import alike_notes
from faceverify.matching.operating_point import OperatingPoint

NAMES = ["ann", "ann", "ann", "bob", "bob", "eve"]
ROWS = unit_rows(np.eye(6, 3)[[0, 0, 0, 1, 1, 2]] + 0.01 * np.arange(18).reshape(6, 3) / 18)


def test_failed_comparisons_never_match():
    enrolled = np.array([False, True, True, True, True, True])
    point = OperatingPoint(2.0, "m", "id")
    found = measured(
        evaluate, ROWS, NAMES, enrolled=enrolled, point=point, replicates=100
    ).evaluation
    assert found.estimate("genuine").value == 4  # 3 of ann, 1 of bob
    assert found.estimate("impostor").value == 11
    assert found.estimate("fnmr").value == 0.5  # two of ann's
    assert found.estimate("fmr").value == pytest.approx(8 / 11)
    assert found.estimate("failed_comparisons").value == 5


def test_auc_and_eer_have_intervals_over_people():
    draws = np.random.default_rng(0)
    names = [f"p{code % 30:02d}" for code in range(90)]
    centres = draws.standard_normal((30, 8))[np.arange(90) % 30]
    rows = unit_rows(centres + 0.8 * draws.standard_normal((90, 8)))
    curve = measured(evaluate, rows, names, replicates=50).evaluation.as_dict()["curve"]
    assert curve["auc"]["interval"][0] < curve["auc"]["value"]
    assert curve["eer"]["value"] < curve["eer"]["interval"][1]
    alone = measured(evaluate, rows, names, replicates=0).evaluation.as_dict()["curve"]
    assert alone["auc"].get("interval") is None


def test_a_report_asks_for_bands_probability_and_the_worst_pairs():
    plain = measured(evaluate, ROWS, NAMES, replicates=10)
    assert (plain.evaluation.band, plain.evaluation.reliability, plain.worst) == ((), None, None)
    found = measured(evaluate, ROWS, NAMES, replicates=10, report=True)
    assert found.evaluation.reliability is not None
    assert len(found.worst.false_matches) == 8


def test_people_who_nearly_all_look_alike_are_noted():
    """As where each folder is not of one person: here photos are dealt out at random."""
    rng = np.random.default_rng(0)
    rows = unit_rows(rng.normal(size=(60, 8)).astype(np.float32))
    names = [f"folder{index % 3}" for index in range(60)]
    (note,) = [
        one
        for one in measured(evaluate, rows, names, replicates=0).evaluation.notes
        if "told apart" in one
    ]
    assert note.startswith("people can hardly be told apart (AUC 0.")
    assert alike_notes(0.9) == alike_notes(None) == []
