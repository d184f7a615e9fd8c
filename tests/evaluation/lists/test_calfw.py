import pytest
from list_files import write

from faceverify.errors import PairListError
from faceverify.evaluation.lists.reading import read_pairs


def test_calfw_label_is_the_fold_of_a_genuine_pair(tmp_path):
    genuine = "".join(f"A_{i}.jpg {i}\nA_{i}1.jpg {i}\n" for i in range(1, 11))
    impostor = "".join(f"B_{i}.jpg 0\nC_{i}.jpg 0\n" for i in range(20))
    pairs = read_pairs(write(tmp_path, genuine + impostor))
    assert pairs.kind == "calfw"
    assert pairs.fold.tolist() == [*range(10), *(i // 2 for i in range(20))]
    assert pairs.same.sum() == 10


@pytest.mark.parametrize("header", ["", "name same_person\r\n"])
def test_cplfw_with_and_without_header(tmp_path, header):
    text = header + "Ann_Lee_1.jpg 1\r\nAnn_Lee_2.jpg 1\r\nAnn_Lee_1.jpg 0\r\nBo_3.jpg 0"
    pairs = read_pairs(write(tmp_path, text))
    assert pairs.kind == "cplfw"
    assert pairs.same.tolist() == [True, False]
    assert pairs.second_identity == ["Ann_Lee", "Bo"]


def test_cplfw_labels_of_one_pair_must_agree(tmp_path):
    path = write(tmp_path, "A_1.jpg 1\nA_2.jpg 0\n")
    with pytest.raises(PairListError, match=r"list\.txt:2: found label 0 after label 1"):
        read_pairs(path)
