import json

import numpy as np
import pytest

from faceverify.errors import PairListError, UsageError
from faceverify.evaluation.pairs import (
    folds_by_position,
    groups_of_pairs,
    read_pairs,
)
from faceverify.evaluation.sniffing import KINDS, sniff


def view2(folds=3, count=2, newline="\n"):
    lines = [f"{folds}\t{count}"]
    for fold in range(folds):
        lines += [f"Ann{fold}\t1\t{i + 2}" for i in range(count)]
        lines += [f"Ann{fold}\t1\tBob{fold}\t{i + 1}" for i in range(count)]
    return newline.join(lines)


def write(folder, text, name="list.txt"):
    path = folder / name
    path.write_bytes(text.encode())
    return path


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


def cfp_folder(folder):
    protocol = folder / "Protocol"
    for name, pose in (("F", "frontal"), ("P", "profile")):
        lines = [f"{i} ../Data/Images/{i:03d}/{pose}/01.jpg" for i in range(1, 5)]
        protocol.mkdir(exist_ok=True)
        (protocol / f"Pair_list_{name}.txt").write_text("\n".join(lines))
    for split in ("FF", "FP"):
        for fold in ("01", "02"):
            place = protocol / "Split" / split / fold
            place.mkdir(parents=True)
            (place / "same.txt").write_text("1,1\n2,2\n" if split == "FP" else "1,1\n")
            (place / "diff.txt").write_text("1,3\r\n2,4\r\n")
    return protocol / "Split"


def test_cfp_folders(tmp_path):
    split = cfp_folder(tmp_path)
    fp, ff = read_pairs(split / "FP"), read_pairs(split / "FF")
    assert fp.fold.tolist() == [0] * 4 + [1] * 4
    assert fp.second[2] == "../Data/Images/003/profile/01.jpg"
    assert ff.second[1] == "../Data/Images/003/frontal/01.jpg"
    assert fp.first_identity[0] == "001"


def test_cfp_index_outside_its_list(tmp_path):
    split = cfp_folder(tmp_path)
    (split / "FP/02/diff.txt").write_text("1,9\n")
    with pytest.raises(
        PairListError, match=r"02/diff\.txt:1: found index 9, expected one of the 4"
    ):
        read_pairs(split / "FP")


ROWS = [("a/1.jpg", "a/2.jpg", "same", "0", "x"), ("a/1.jpg", "b/1.jpg", "0", "1", "y")]


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("names", ["first second same fold group", "IMG1 img2 Label split group"])
def test_tables(tmp_path, separator, names):
    text = "\n".join(separator.join(row) for row in [names.split(), *ROWS])
    pairs = read_pairs(write(tmp_path, text, "list.csv" if separator == "," else "list.tsv"))
    assert (pairs.same.tolist(), pairs.fold.tolist(), pairs.group) == (
        [True, False],
        [0, 1],
        ["x", "y"],
    )
    assert pairs.second_identity == ["a", "b"]


def test_json_lines_and_a_named_group_column(tmp_path):
    records = [{"a": f, "b": s, "genuine": w == "same", "skin": g} for f, s, w, _, g in ROWS]
    path = write(tmp_path, "\n".join(map(json.dumps, records)), "list.jsonl")
    assert read_pairs(path).group is None
    assert read_pairs(path, group_column="skin").group == ["x", "y"]
    with pytest.raises(PairListError, match="expected one named 'age'"):
        read_pairs(path, group_column="age")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("first,second\na,b\n", r":1: found columns first, second, expected one for 'same'"),
        ("first,second,same\na,b\n", r":2: found 2 fields, expected 3"),
        ("first,second,same\na,b,maybe\n", r":2: found label 'maybe', expected 1/0"),
        ("first,second,same\na,,1\n", r":2: found an empty image"),
        ("first,second,same,fold\na,b,1,-1\n", r":2: found '-1', expected a fold number"),
        ("first,second,same,fold\na,b,1,1\nc,d,0,\n", r":3: found no fold, expected one on every"),
        ("first,second,same\na,b,1\nb,a,0\n", r":3: found b and a as different, .* of line 2"),
        ("first,second,same\n", r"found no pairs"),
        ("", r":1: found an empty file"),
        ('first,second,same\n"a,b,1\n', r"expected UTF-8 rows"),
    ],
)
def test_wrong_tables_are_told_exactly(tmp_path, text, found):
    with pytest.raises(PairListError, match=found):
        read_pairs(write(tmp_path, text, "list.csv"))


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": "x", "b": null, "same": 1}', "[" * 100_000])
def test_wrong_json_lines(tmp_path, text):
    with pytest.raises(PairListError, match=r"list\.jsonl:1: found"):
        read_pairs(write(tmp_path, text, "list.jsonl"))


def test_ijb_pairs(tmp_path):
    pairs = read_pairs(write(tmp_path, "1 11065 1\n1 11066 0\n"))
    assert (pairs.kind, pairs.first, pairs.same.tolist()) == ("ijb", ["1", "1"], [True, False])


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"10\t3\0", b"hello world and more\n", b" \n"])
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
    with pytest.raises(UsageError, match="kinds: lfw-view2"):
        read_pairs(write(tmp_path, view2()), kind="lfw")
    with pytest.raises(UsageError, match="found 'people'"):
        read_pairs(write(tmp_path, "2\nAnn\t3\nBob\t1\n"))


def test_every_kind_can_be_forced_on_a_wrong_file(tmp_path):
    path = write(tmp_path, "one two three four five\n")
    for kind in KINDS:
        if kind != "cfp":
            with pytest.raises(PairListError, match=r"list\.txt:\d+: found"):
                read_pairs(path, kind=kind)


def test_folds_by_position_are_the_official_ones_in_lfw_order(tmp_path):
    pairs = read_pairs(write(tmp_path, view2(folds=10, count=7)))
    assert folds_by_position(pairs.same).tolist() == pairs.fold.tolist()
    assert folds_by_position(np.ones(3, bool)).tolist() == [0, 3, 6]


def test_groups_from_people(tmp_path):
    pairs = read_pairs(write(tmp_path, "Ann\t1\t2\nAnn\t1\tBob\t1\n"))
    assert groups_of_pairs(pairs, {"Ann": "x", "Bob": "w"}) == ["x", "w | x"]
    with pytest.raises(PairListError, match=r"found 1 of 2 people without a group \(Bob\)"):
        groups_of_pairs(pairs, {"Ann": "x"})


def test_the_official_lists(shared_data):
    protocols = shared_data / "protocols"
    pairs = read_pairs(protocols / "pairs.txt")
    assert (len(pairs), int(pairs.same.sum()), len(pairs.images)) == (6000, 3000, 7701)
    assert np.bincount(pairs.fold).tolist() == [600] * 10
    assert len(read_pairs(protocols / "pairsDevTrain.txt")) == 2200
    assert len(read_pairs(protocols / "pairs_CPLFW.txt")) == 6000
    assert sniff(protocols / "people.txt") == "people"
