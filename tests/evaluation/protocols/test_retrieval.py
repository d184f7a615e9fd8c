"""Photos that failed stay in the denominators of retrieval."""

import numpy as np
import pytest
from people_tasks import measured

from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.protocols.retrieval import evaluate

NAMES = ["ann", "ann", "ann", "bob", "bob", "eve"]
ROWS = unit_rows(np.eye(6, 3)[[0, 0, 0, 1, 1, 2]] + 0.01 * np.arange(18).reshape(6, 3) / 18)


def test_a_search_that_fails_finds_nobody():
    """Of five searches (ann, ann, ann, bob, bob) one photo of ann's failed: four of five find."""
    enrolled = np.array([False, True, True, True, True, True])
    found = measured(evaluate, ROWS, NAMES, enrolled=enrolled).evaluation
    assert found.figure("queries").value == 5
    assert found.figure("failed_queries").value == 1
    assert found.figure("recall_at_1").value == pytest.approx(0.8)


def test_who_lost_all_other_photos_is_never_found():
    """Without one of bob's photos his other one has nobody to find: both searches fail."""
    enrolled = np.array([True, True, True, False, True, True])
    found = measured(evaluate, ROWS, NAMES, enrolled=enrolled).evaluation
    assert found.figure("queries").value == 5
    assert found.figure("recall_at_1").value == pytest.approx(0.6)
    assert found.figure("map").value == pytest.approx(0.6)
