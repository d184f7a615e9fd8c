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
