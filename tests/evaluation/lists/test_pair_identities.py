import numpy as np

from faceverify.evaluation.lists.pair_identities import people_of_pairs
from faceverify.evaluation.lists.pair_list import PairList


def test_people_are_guessed_from_genuine_pairs():
    same = np.array([True, True, False, True])
    pairs = PairList("l", "pack", ["1", "2", "1", "5"], ["2", "3", "4", "6"], same)
    found = people_of_pairs(pairs)
    assert found.count == 3  # {1, 2, 3}, {4}, {5, 6}
    assert len({found.first[0], found.first[1], found.second[1], found.first[2]}) == 1
    assert found.second[2] not in (found.first[0], found.first[3])
    assert "linked by genuine pairs" in found.note
