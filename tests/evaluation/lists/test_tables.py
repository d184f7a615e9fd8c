import json

import pytest
from list_files import write

from faceverify.errors import PairListError
from faceverify.evaluation.lists.reading import read_pairs

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


LABELLED = [("A/A_1.jpg", "A b/2.jpg", True), ("A/A_1.jpg", "B/1.jpg", False)]


@pytest.mark.parametrize(
    "text",
    [
        "A/A_1.jpg A b/2.jpg 1\nA/A_1.jpg B/1.jpg 0\n",
        "# of faces\n1 A/A_1.jpg A b/2.jpg\n\n-1 A/A_1.jpg B/1.jpg\n",
        '"A/A_1.jpg" "A b/2.jpg" True\n"A/A_1.jpg" "B/1.jpg" False\n',
        "A/A_1.jpg\tA b/2.jpg\tsame\nA/A_1.jpg\tB/1.jpg\tdiff\n",
        "A/A_1.jpg,A b/2.jpg,1.0\nA/A_1.jpg,B/1.jpg,-1\n",
        "1;A/A_1.jpg;A b/2.jpg\n0;A/A_1.jpg;B/1.jpg\n",
        "img1,img2,label\nA/A_1.jpg,A b/2.jpg,1\nA/A_1.jpg,B/1.jpg,0\n",
        "label path1 path2\n1 A/A_1.jpg A b/2.jpg\n0 A/A_1.jpg B/1.jpg\n",
    ],
)
@pytest.mark.parametrize("name", ["list.txt", "list.csv", "list.tsv", "list"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_two_photos_and_a_label_a_line(tmp_path, text, name, encoding):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    pairs = read_pairs(path)
    assert list(zip(pairs.first, pairs.second, pairs.same.tolist(), strict=True)) == LABELLED
    assert pairs.first_identity == ["A", "A"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a.jpg b.jpg 1\na.jpg 1\nc.jpg d.jpg 0", r":2: found 'a\.jpg 1', expected two photos"),
        ("a.jpg b.jpg 1\nx y of z 1\nc.jpg d.jpg 0", r":2: found 'x y of z 1'.* put tabs between"),
        ("a.jpg,b.jpg,1\nc.jpg,d.jpg,maybe\ne.jpg,f.jpg,0", r":2: found 'c\.jpg,d\.jpg,maybe'"),
        ("0,a.jpg,b.jpg,1\n1,c.jpg,d.jpg,0", r":1: found '0,a\.jpg,b\.jpg,1', .*add a header"),
    ],
)
def test_lines_that_are_no_labelled_pairs_are_told_exactly(tmp_path, text, found):
    name = "list.csv" if "," in text else "list.txt"
    with pytest.raises(PairListError, match=found):
        read_pairs(write(tmp_path, text, name))


def test_json_lines_under_any_name(tmp_path):
    path = write(tmp_path, '{"a": "x.jpg", "b": "y.jpg", "same": true}', "list.txt")
    assert read_pairs(path).same.tolist() == [True]


def test_twelve_words_are_no_five_points(tmp_path):
    text = "a b c d e f.jpg g h i j k.jpg 1\nb.jpg c.jpg 0\n"
    assert read_pairs(write(tmp_path, text)).second == ["g h i j k.jpg", "c.jpg"]
