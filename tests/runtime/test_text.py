"""Printable lines: accepted, refused, replaced."""

import doctest
import sys

import pytest

from faceverify.runtime import text
from faceverify.runtime.text import is_line, line_of_text, printable


def test_docstring_examples_run():
    result = doctest.testmod(text)
    assert result.attempted == 2
    assert result.failed == 0


@pytest.mark.thorough
def test_every_character_is_one_line_or_replaced():
    for code in range(sys.maxunicode + 1):
        sign = chr(code)
        if is_line(sign):
            sign.encode()
            assert sign.splitlines() == [sign]
            assert printable(sign) == sign
        else:
            assert printable(sign) == "?"
    assert sum(not is_line(chr(code)) for code in range(256)) == 65  # ASCII's and Latin-1's


@pytest.mark.parametrize("value", [None, 7, b"x", "a\nb", "a\u2028b", "\x7f", "\x9b2J", "\ud800"])
def test_what_is_no_line_is_refused_by_its_name(value):
    with pytest.raises(ValueError, match=r"^the name is .*, not one line of text$"):
        line_of_text(value, "the name")


def test_any_script_is_a_line():
    for value in ("", "Zoë", "李小龍", "محمد", "न\u200dम", "A\u00a0B", "👩\u200d🚀"):
        assert line_of_text(value, "the name") == value
