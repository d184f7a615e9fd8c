"""Prompts: sentences of labels, in three forms."""

import pytest
from list_files import write

from faceverify.errors import PairListError
from faceverify.evaluation.lists.prompts import read_prompts

FORMS = {
    "words.txt": "# two\nred circle: a red circle\n\nred circle:  a circle: red\nblue: blue, too\n",
    "words.csv": "sentence,label\na red circle,red circle\na circle: red,red circle\n"
    '"blue, too",blue\n',
    "words.toml": '"red circle" = ["a red circle", "a  circle: red"]\nblue = "blue, too"\n',
}


@pytest.mark.parametrize("name", FORMS)
def test_the_three_forms_say_the_same(tmp_path, name):
    found = read_prompts(write(tmp_path, FORMS[name], name))
    assert found.sentences == {
        "red circle": ("a red circle", "a circle: red"), "blue": ("blue, too",),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("w.txt", "one: a\none: b\n", "found 1 label, expected two or more"),
        ("w.txt", "", "found 0 label"),
        ("w.txt", "one: a\ntwo\n", ":2: found 'two', expected LABEL: SENTENCE"),
        ("w.txt", "one: a\ntwo:\n", ":2: has no sentence for label 'two'"),
        ("w.txt", "one: a\n: b\n", ":2: has no label"),
        ("w.csv", "label,words\n", "none of a sentence"),
        ("w.csv", "label,sentence\none,\n", ":2: has no sentence"),
        ("w.toml", "one = 1\n", "found 1 for label 'one'"),
        ("w.toml", "one = []\n", r"found \[\] for label 'one'"),
        ("w.toml", '[one]\na = "b"\n', "for label 'one'"),
        ("w.toml", "one\n", "is no TOML"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, name, text, said):
    with pytest.raises(PairListError, match=said) as refused:
        read_prompts(write(tmp_path, text, name))
    assert refused.value.code == "prompts"
