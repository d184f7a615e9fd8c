"""Lines of tables: told by the first, each with its own error, as they come."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceverify.runtime.table_lines import decoded, quoted_records, table_lines


def values(text, **options):
    return [line.value for line in table_lines(enumerate(text.split("\n"), 1), **options)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('a,"b, c"\n\nd,e', [["a", "b, c"], ["d", "e"]]),
        ('a\t"b\n \nd,e\tf', [["a", '"b'], ["d,e", "f"]]),
        ('{"a": 1}\n{"a": 2}', [{"a": 1}, {"a": 2}]),
    ],
)
def test_the_first_line_tells_the_form(text, found):
    assert values(text) == found


@pytest.mark.parametrize("text", ['a,b\n"c,d\ne,f', '{"a": 1}\n[]\n{"a": 2}', '{}\n{\n{"x": []}'])
def test_a_line_that_cannot_be_split_says_why_and_the_next_can(text):
    good, bad, last = table_lines(enumerate(text.split("\n"), 1))
    assert (good.error, last.error) == ("", "")
    assert (bad.number, bad.text) == (2, text.split("\n")[1])
    assert bad.error
    assert bad.value == []


def test_lines_come_as_they_are_asked_for():
    def endless():
        yield 1, "a,b"
        raise AssertionError

    assert next(table_lines(endless())).value == ["a", "b"]


def test_bytes_that_are_no_text_survive_in_names():
    lines = list(decoded(io.BytesIO(b"\xef\xbb\xbfa\xff.jpg\r\nb\n")))
    assert lines == ["a\udcff.jpg", "b"]


@given(st.lists(st.lists(st.text('ab,"\n '), min_size=2, max_size=3), min_size=1, max_size=5))
def test_records_of_csv_may_span_lines(rows):
    """What csv writes is read again, whatever is quoted."""
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    lines = enumerate(written.getvalue().removesuffix("\n").split("\n"), 1)
    assert [line.value for line in table_lines(quoted_records(lines))] == rows


def test_a_quote_that_never_ends_is_one_record():
    assert list(quoted_records(enumerate(["a,b", '"c,d', "e,f"], 1))) == [
        (1, "a,b"),
        (2, '"c,d\ne,f'),
    ]
