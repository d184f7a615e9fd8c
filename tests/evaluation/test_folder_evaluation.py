"""Photos that failed stay in the denominators of all-against-all and of retrieval."""

import numpy as np
import pytest

from faceverify.evaluation.exact_distances import unit_rows
from faceverify.evaluation.folder_evaluation import evaluate_all, evaluate_retrieval
from faceverify.evaluation.lists.pair_list import PairList
from faceverify.evaluation.pair_people import people_of_pairs
from faceverify.matching.operating_point import OperatingPoint

NAMES = ["ann", "ann", "ann", "bob", "bob", "eve"]
ROWS = unit_rows(np.eye(6, 3)[[0, 0, 0, 1, 1, 2]] + 0.01 * np.arange(18).reshape(6, 3) / 18)


def test_a_search_that_fails_finds_nobody():
    """Of five searches (ann, ann, ann, bob, bob) one photo of ann's failed: four of five find."""
    enrolled = np.array([False, True, True, True, True, True])
    found = evaluate_retrieval("f", ROWS, enrolled, NAMES, "m", "id")
    assert found.figure("queries").value == 5
    assert found.figure("failed_queries").value == 1
    assert found.figure("recall_at_1").value == pytest.approx(0.8)


def test_who_lost_all_other_photos_is_never_found():
    """Without one of bob's photos his other one has nobody to find: both searches fail."""
    enrolled = np.array([True, True, True, False, True, True])
    found = evaluate_retrieval("f", ROWS, enrolled, NAMES, "m", "id")
    assert found.figure("queries").value == 5
    assert found.figure("recall_at_1").value == pytest.approx(0.6)
    assert found.figure("map").value == pytest.approx(0.6)


def test_failed_comparisons_never_match():
    enrolled = np.array([False, True, True, True, True, True])
    point = OperatingPoint(2.0, "m", "id")
    found = evaluate_all("f", ROWS, enrolled, NAMES, "m", "id", point=point, replicates=100)
    assert found.figure("genuine").value == 4  # 3 of ann, 1 of bob
    assert found.figure("impostor").value == 11
    assert found.figure("fnmr").value == 0.5  # two of ann's
    assert found.figure("fmr").value == pytest.approx(8 / 11)
    assert found.figure("failed_comparisons").value == 5


def test_people_are_guessed_from_genuine_pairs():
    same = np.array([True, True, False, True])
    pairs = PairList("l", "pack", ["1", "2", "1", "5"], ["2", "3", "4", "6"], same)
    found = people_of_pairs(pairs)
    assert found.count == 3  # {1, 2, 3}, {4}, {5, 6}
    assert len({found.first[0], found.first[1], found.second[1], found.first[2]}) == 1
    assert found.second[2] not in (found.first[0], found.first[3])
    assert "linked by genuine pairs" in found.note
