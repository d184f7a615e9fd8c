"""Tables with a header: what separates cells, how they are written, what is refused."""

import pytest

from faceverify.errors import UsageError
from faceverify.runtime.headed_table import headed_rows

REQUIRED = {"photo": ("photo", "image"), "caption": ("caption", "text")}
OPTIONAL = {"person": ("person", "name")}


def complain(message, cure):
    return UsageError(message, cure=cure)


def rows(path):
    return [tuple(row) for row in headed_rows(path, REQUIRED, OPTIONAL, complain=complain)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_as_programs_write_it(tmp_path, encoding, newline, separator):
    lines = ["# made by hand", "Text,more, Image", "é,1,a b.jpg", '"two, and","3",c.jpg ', ""]
    path = tmp_path / "table.csv"
    text = newline.join(lines)
    if separator != ",":
        text = text.replace("two, and", "two; and").replace(",", separator)
    path.write_bytes(text.encode(encoding))
    said = "two, and" if separator == "," else "two; and"
    assert rows(path) == [
        (3, {"photo": "a b.jpg", "caption": "é"}),
        (4, {"photo": "c.jpg", "caption": said}),
    ]


def test_a_quoted_cell_may_hold_newlines_and_an_optional_column_may_be_there(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('photo,caption,name\na,"one\ntwo",Ann\nb,three,Bob\n')
    assert rows(path) == [
        (2, {"photo": "a", "caption": "one\ntwo", "person": "Ann"}),
        (4, {"photo": "b", "caption": "three", "person": "Bob"}),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found no line; begin it with photo,caption"),
        ("# nothing\n", "found no line"),
        ('{"photo": "a"}\n', "begin it with photo,caption"),
        ("photo,words\na,b\n", r":1: found columns 'photo', 'words', none of a caption"),
        ("photo,caption,photo\n", ":1: found two columns 'photo'"),
        ("photo,caption\na,b,c\n", ":2: found 3 cells, and 2 in the header"),
        ("photo,caption\na\n", ":2: found 1 cells"),
        ('photo,caption\na,"b" c\n', ":2: found .*; put quotes"),
        ('photo,caption\na,"b\n' + "c,d\n" * 30, ":2: found a quote that is not closed"),
        ("photo,caption\na,\x00\x01\x02b\n", "found a file that is no text"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path, text, said):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=said) as refused:
        rows(path)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_and_one_in_an_older_encoding(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        rows(tmp_path / "none.csv")
    path = tmp_path / "latin.csv"
    path.write_bytes("photo,caption\na,é\n".encode("latin-1"))
    with pytest.raises(UsageError, match="no text; save it as UTF-8"):
        rows(path)
