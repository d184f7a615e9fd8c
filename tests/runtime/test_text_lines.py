"""Lines of text in the encodings and with the newlines that programs write."""

import codecs
import io
import os

import pytest

from faceverify.runtime.text_lines import NotTextError, decoded_lines, text_of

LINES = ["Zoë/1 a.jpg\tb.jpg", "", "日本.jpg\tc.jpg", "last"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\0"])
@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-32-le", codecs.BOM_UTF32_LE),
        ("utf-32-be", codecs.BOM_UTF32_BE),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
    ],
)
@pytest.mark.parametrize("ended", [True, False])
def test_every_encoding_and_newline(encoding, mark, newline, ended):
    text = newline.join(LINES) + (newline if ended else "")
    data = mark + text.encode(encoding)
    if newline == "\0" and encoding != "utf-8" and not mark:
        return  # names of one letter, with NUL between them
    assert list(decoded_lines(io.BytesIO(data))) == LINES
    assert text_of(data).removesuffix("\n").split("\n") == LINES
    if not ended:
        assert text_of(data[:-1], cut=True).split("\n") == LINES[:3]


def test_bytes_that_are_no_text_survive_in_names():
    lines = list(decoded_lines(io.BytesIO(b"\xef\xbb\xbfa\xff.jpg\r\nb\n")))
    assert lines == ["a\udcff.jpg", "b"]
    with pytest.raises(UnicodeDecodeError):
        text_of(b"a\xff.jpg\n")


def test_a_character_or_a_newline_may_come_in_two_pieces():
    class Slow(io.BytesIO):
        def read1(self, size=-1):
            return self.read(1)

    assert list(decoded_lines(Slow("é\r\nü\r\n".encode("utf-16")))) == ["é", "ü"]


def test_a_line_comes_before_the_next_is_written():
    reading, writing = os.pipe()
    with open(reading, "rb") as stream, open(writing, "wb", buffering=0) as writer:
        lines = decoded_lines(stream)
        for line in ("a.jpg\tb.jpg", "c", "d"):
            writer.write(f"{line}\r\n".encode())
            assert next(lines) == line


@pytest.mark.parametrize("data", [b"\xff\xd8\xff\xe0\0\x10JFIF\0\1", b"PK\3\4\x14\0\0\0", bytes(9)])
def test_what_is_no_text(data):
    with pytest.raises(NotTextError):
        list(decoded_lines(io.BytesIO(data)))
    with pytest.raises(NotTextError):
        text_of(data)
