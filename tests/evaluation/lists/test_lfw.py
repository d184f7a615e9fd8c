import pytest
from list_files import view2, write

from faceverify.errors import PairListError
from faceverify.evaluation.lists.reading import read_pairs


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("ending", ["", "\n", "\r\n\r\n"])
def test_view2_folds_follow_from_the_position(tmp_path, newline, ending):
    pairs = read_pairs(write(tmp_path, "\ufeff" + view2(newline=newline) + ending))
    assert pairs.kind == "lfw-view2"
    assert pairs.fold.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert pairs.same.tolist() == [True, True, False, False] * 3
    assert (pairs.first[0], pairs.second[0]) == ("Ann0/Ann0_0001.jpg", "Ann0/Ann0_0002.jpg")
    assert (pairs.first_identity[2], pairs.second_identity[2]) == ("Ann0", "Bob0")


def test_a_line_missing_from_view2_is_an_error_and_no_shift(tmp_path):
    lines = view2().split("\n")
    path = write(tmp_path, "\n".join(lines[:5] + lines[6:]))
    with pytest.raises(PairListError, match=r"list\.txt:12: found 11 pairs .*expected 12 \(3 x \("):
        read_pairs(path)


def test_view2_lines_out_of_order_are_named(tmp_path):
    lines = view2().split("\n")
    lines[2], lines[3] = lines[3], lines[2]
    with pytest.raises(PairListError, match=r":3: found NAME NUMBER NAME NUMBER .* expected NAME"):
        read_pairs(write(tmp_path, "\n".join(lines)))


def test_view1(tmp_path):
    pairs = read_pairs(write(tmp_path, "1\nAnn\t1\t2\nAnn\t1\tBob\t1\n"))
    assert pairs.kind == "lfw-view1"
    assert pairs.fold is None
    assert pairs.same.tolist() == [True, False]


def test_lfw_lines_without_header(tmp_path):
    pairs = read_pairs(write(tmp_path, "m.0c7mh2\t2\t5\nm.0c7mh2\t1\tm.0d\t3\n"))
    assert pairs.kind == "lfw-lines"
    assert pairs.first == ["m.0c7mh2/m.0c7mh2_0002.jpg", "m.0c7mh2/m.0c7mh2_0001.jpg"]
