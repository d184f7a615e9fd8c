import numpy as np
import pytest
from list_files import view2, write

from faceverify.errors import PairListError, UsageError
from faceverify.evaluation.lists import FORMATS
from faceverify.evaluation.lists.reading import KINDS, inspect, read_pairs, sniff


def test_every_kind_is_called_by_its_name_and_has_a_title():
    assert all(kind == one.kind and one.title for kind, one in FORMATS.items())


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"10\t3\1\0", b"hello world and more\n", b" \n"])
def test_files_that_are_no_lists(tmp_path, data):
    path = tmp_path / "list.txt"
    path.write_bytes(data)
    with pytest.raises(PairListError, match=r"list\.txt"):
        read_pairs(path)


def test_missing_files_and_wrong_kinds(tmp_path):
    with pytest.raises(PairListError, match="No such file"):
        read_pairs(tmp_path / "none.txt")
    with pytest.raises(PairListError, match=r"without 01/same\.txt"):
        read_pairs(tmp_path)
    with pytest.raises(UsageError, match=r"kinds: .*lfw-view2"):
        read_pairs(write(tmp_path, view2()), kind="lfw")
    with pytest.raises(UsageError, match="found 'people'"):
        read_pairs(write(tmp_path, "2\nAnn\t3\nBob\t1\n"))


def test_every_kind_can_be_forced_on_a_wrong_file(tmp_path):
    path = write(tmp_path, "one two three four five\n")
    for kind in KINDS:
        if kind != "cfp":
            with pytest.raises(PairListError, match=r"list\.txt:\d+: found"):
                read_pairs(path, kind=kind)


def test_the_official_lists(shared_data):
    protocols = shared_data / "protocols"
    pairs = read_pairs(protocols / "pairs.txt")
    assert (len(pairs), int(pairs.same.sum()), len(pairs.images)) == (6000, 3000, 7701)
    assert np.bincount(pairs.fold).tolist() == [600] * 10
    assert len(read_pairs(protocols / "pairsDevTrain.txt")) == 2200
    assert len(read_pairs(protocols / "pairs_CPLFW.txt")) == 6000
    assert sniff(protocols / "people.txt") == "people"


def test_the_real_files(shared_data):
    assert inspect(shared_data / "protocols/people.txt").facts == {
        "people": 5749, "images": 13233, "folds": 10
    }  # fmt: skip
    assert inspect(shared_data / "formats/small_lfw.bin").facts["pairs"] == 10
    assert inspect(shared_data / "protocols/pairs.txt").notes == []
