import numpy as np
import pytest
from list_files import view2, write

from faceverify.errors import PairListError
from faceverify.evaluation.lists.pair_list import folds_by_position, groups_of_pairs
from faceverify.evaluation.lists.reading import inspect, read_pairs


def test_folds_by_position_are_the_official_ones_in_lfw_order(tmp_path):
    pairs = read_pairs(write(tmp_path, view2(folds=10, count=7)))
    assert folds_by_position(pairs.same).tolist() == pairs.fold.tolist()
    assert folds_by_position(np.ones(3, bool)).tolist() == [0, 3, 6]


def test_groups_from_people(tmp_path):
    pairs = read_pairs(write(tmp_path, "Ann\t1\t2\nAnn\t1\tBob\t1\n"))
    assert groups_of_pairs(pairs, {"Ann": "x", "Bob": "w"}) == ["x", "w | x"]
    with pytest.raises(PairListError, match=r"found 1 of 2 people without a group \(Bob\)"):
        groups_of_pairs(pairs, {"Ann": "x"})


def test_notes_tell_what_flatters_or_hides(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("first,second,same,fold\na,a,1,0\na,b,1,0\nb,a,1,0\n")
    found = inspect(path)
    assert found.facts == {"pairs": 3, "genuine": 3, "impostor": 0, "images": 2, "folds": 1}
    notes = " ".join(found.notes)
    for words in (
        "1 pairs are listed again",
        "1 pairs compare a photo with itself",
        "only genuine",
        "one fold",
    ):
        assert words in notes
