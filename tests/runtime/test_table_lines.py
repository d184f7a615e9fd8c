"""Lines of tables: the form of each, an error for each bad line."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceverify.runtime.table_lines import (
    comma_cells,
    json_object,
    quoted_records,
    split_of,
    table_lines,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('a,"b, c"', ["a", "b, c"]),
        ('a\t"b', ["a", '"b']),
        ('"a"\t5" b', ["a", '5" b']),
        ("d,e\tf", ["d,e", "f"]),
        ('"a;b";c d', ["a;b", "c d"]),
        (' {"a": 1}', {"a": 1}),
        ("a", ["a"]),
    ],
)
def test_the_form_of_a_line(text, found):
    assert split_of(text)(text) == found


@pytest.mark.parametrize(
    ("text", "split"),
    [('a,b\n"c,d\ne,f', comma_cells), ('{"a": 1}\n[]\n{"a": 2}', json_object)],
)
def test_a_line_that_cannot_be_split_says_why_and_the_next_can(text, split):
    good, bad, last = table_lines(enumerate(text.split("\n"), 1), split)
    assert (good.error, last.error) == ("", "")
    assert (bad.number, bad.text) == (2, text.split("\n")[1])
    assert bad.error
    assert bad.value == []


def test_blank_lines_and_comments_are_no_rows():
    lines = enumerate(["", "# a", "  #b,c", " \t", "./#a,b", "c,#d"], 1)
    assert [line.value for line in table_lines(lines, comma_cells)] == [["./#a", "b"], ["c", "#d"]]


def test_lines_come_as_they_are_asked_for():
    def endless():
        yield 1, "a,b"
        raise AssertionError

    assert next(table_lines(endless(), comma_cells)).value == ["a", "b"]


@given(st.lists(st.lists(st.text('ab,"\n '), min_size=2, max_size=3), min_size=1, max_size=5))
def test_records_of_csv_may_span_lines(rows):
    """What csv writes is read again, whatever is quoted."""
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    lines = enumerate(written.getvalue().removesuffix("\n").split("\n"), 1)
    assert [line.value for line in table_lines(quoted_records(lines), comma_cells)] == rows


def test_a_quote_that_never_ends_is_one_record():
    assert list(quoted_records(enumerate(["a,b", '# 5" b', '"c,d', "e,f"], 1))) == [
        (1, "a,b"),
        (3, '"c,d\ne,f'),
    ]
