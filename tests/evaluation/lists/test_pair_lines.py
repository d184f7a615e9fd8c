"""Lists read line by line: each line in its own form, a bad one alone, its place once."""

import json

import pytest
from list_files import view2, write

from faceverify.errors import PairListError
from faceverify.evaluation.lists.pair_lines import CLAIMS, PEOPLE, pair_lines, read_pair_lines


def pairs(text, *roles):
    return [(line.a, line.b) for line in pair_lines(text.split("\n"), "list", *roles)]


WANTED = [("a.jpg", "b c.jpg"), ("d.jpg", "e.jpg")]


@pytest.mark.parametrize(
    "text",
    [
        "a.jpg\tb c.jpg\nd.jpg\te.jpg",
        "# made on Monday, by hand\n\na.jpg\tb c.jpg\n  # more\nd.jpg\te.jpg",
        "first,second,same\na.jpg,b c.jpg,1\nd.jpg,e.jpg,0",
        "# x\nsame;Image1 ;image2\n1;a.jpg;b c.jpg\n0;d.jpg;e.jpg",
        "label\tpath2\tpath1\n1\tb c.jpg\ta.jpg\n0\te.jpg\td.jpg",
        "a.jpg, b c.jpg, 1\nd.jpg, e.jpg, 0",
        "a.jpg b c.jpg 1\nd.jpg e.jpg -1",
        "1 a.jpg b c.jpg\n-1 d.jpg e.jpg",
        '"a.jpg" "b c.jpg" same\nd.jpg e.jpg diff',
        "True,a.jpg,b c.jpg\nFalse,d.jpg,e.jpg",
        '{"a": "a.jpg", "b": "b c.jpg"}\n{"b": "e.jpg", "a": "d.jpg", "n": 1}',
        '{"image1": "a.jpg", "image2": "b c.jpg"}\n{"photo2": "e.jpg", "photo1": "d.jpg"}',
    ],
)
def test_every_form(text):
    assert pairs(text) == WANTED


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ("Pairs of Monday", "a.jpg\tb.jpg"),
        ("Pairs, of Monday", "a.jpg\tb.jpg"),
        ("only.jpg", "a.jpg\tb.jpg"),
        ("only.jpg", "a.jpg,b.jpg"),
        ('"a.jpg,b.jpg', "a.jpg,b.jpg"),
        ("", "a.jpg b.jpg"),
        ("[1]", '{"a": "a.jpg", "b": "b.jpg"}'),
        ("{", '{"a": "a.jpg", "b": "b.jpg"}'),
    ],
)
def test_a_bad_line_above_spoils_no_other(bad, good):
    *above, last = pair_lines([bad, good], "list")
    assert (last.a, last.b, last.error, last.place) == ("a.jpg", "b.jpg", None, "list:2")
    if bad and bad != "Pairs, of Monday":  # which is a pair, of photos that are not there
        assert str(above[0].error).startswith("list:1: ")
        assert str(above[0].error).count("list:1") == 1


def test_below_a_tab_a_line_without_one_is_damaged():
    good, bad, last = pair_lines(["a, 1.jpg\tb.jpg", "a, 1.jpg b.jpg", "c\td"], "list")
    assert (good.error, last.error) == (None, None)
    assert str(bad.error) == "list:2: found 1 column(s), expected two photos"


def test_paths_with_spaces_that_cannot_be_told_apart_are_refused():
    text = "my photo of ann my photo of bob 1"
    (line,) = pair_lines([text], "list")
    assert "put tabs between them" in str(line.error)
    assert line.columns == [text]


def test_the_other_columns_are_kept():
    lines = list(pair_lines(["label,a,b,note", "1,x.jpg,y.jpg,z"], "list"))
    assert lines[0].columns == ["1", "x.jpg", "y.jpg", "z"]
    assert lines[0].named == {"label": "1", "note": "z"}
    (line,) = pair_lines(["1\tx.jpg\ty.jpg\tz"], "list")
    assert line.named == {"columns": ["1", "z"]}
    (line,) = pair_lines(['{"a": "x", "b": "y", "same": 1}'], "list")
    assert line.named == {"label": 1}  # the decision's own answer is called same


@pytest.mark.parametrize(
    "text",
    ["p.jpg,ann b", "name,photo\nann b,p.jpg", "Person;Path\nann b;p.jpg", "#\np.jpg\tann b"],
)
def test_claims(text):
    assert pairs(text, CLAIMS) == [("p.jpg", "ann b")]


def test_people_of_a_list_to_enroll():
    text = 'photo,name\np.jpg,"Lee, Ann"\n'
    assert pairs(text, PEOPLE) == [("Lee, Ann", "p.jpg")]
    assert pairs('{"person": "ann", "image": "p.jpg"}', PEOPLE) == [("ann", "p.jpg")]
    assert pairs("1,a.jpg,b.jpg", PEOPLE) == [("1", "a.jpg")]  # no label: a name


@pytest.mark.parametrize("text", ["", "\n \n", "# nothing\n", "first,second\n"])
def test_a_list_of_nothing_is_refused(tmp_path, text):
    with pytest.raises(PairListError, match=r"list\.txt: found no pairs, expected at least one"):
        list(read_pair_lines(str(write(tmp_path, text))))


def test_what_is_no_list(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1")
    with pytest.raises(PairListError, match=r"photo\.jpg: found a binary file"):
        list(read_pair_lines(str(tmp_path / "photo.jpg")))
    with pytest.raises(PairListError, match="none: cannot be read"):
        list(read_pair_lines(str(tmp_path / "none")))
    with pytest.raises(PairListError, match=r"list\.txt: found LFW people list"):
        list(read_pair_lines(str(write(tmp_path, "2\nAnn\t3\nBob\t1\n"))))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings(tmp_path, encoding):
    path = tmp_path / "pairs.tsv"
    path.write_bytes("a.jpg\tb c.jpg\r\nd.jpg\te.jpg\r\n".encode(encoding))
    assert [(line.a, line.b) for line in read_pair_lines(str(path))] == WANTED


def test_lists_of_the_benchmarks(tmp_path):
    lines = list(read_pair_lines(str(write(tmp_path, view2(folds=1)))))
    assert [(line.a, line.b, line.named) for line in lines][1:3] == [
        ("Ann0/Ann0_0001.jpg", "Ann0/Ann0_0003.jpg", {"label": 1}),
        ("Ann0/Ann0_0001.jpg", "Bob0/Bob0_0001.jpg", {"label": 0}),
    ]
    assert lines[2].place.endswith("list.txt:4")
    lines = list(read_pair_lines(str(write(tmp_path, "a_1.jpg 1\na_2.jpg 1\na_1.jpg 0\nb.jpg 0"))))
    assert [(line.a, line.b) for line in lines] == [("a_1.jpg", "a_2.jpg"), ("a_1.jpg", "b.jpg")]


def test_a_long_table_is_not_read_before_it_is_used(tmp_path):
    path = write(tmp_path, "a.jpg b.jpg 1\n" * 20_000 + "\xff")
    assert next(read_pair_lines(str(path))).a == "a.jpg"


def test_json_of_a_claim_names_what_is_missing():
    (line,) = pair_lines([json.dumps({"photo": "a.jpg"})], "list", CLAIMS)
    assert str(line.error) == 'list:1: expected an object with texts "photo" and "name"'
