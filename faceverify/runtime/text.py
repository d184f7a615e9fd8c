"""One line of printable text: validation of untrusted text, and replacement of characters.

Terminals interpret control characters, a lone surrogate cannot be printed or encoded, and a line
separator makes two lines of one.
"""

from __future__ import annotations

import reprlib
from unicodedata import category

UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # control, surrogate, line and paragraph separator


def is_line(text: str) -> bool:
    r"""Whether a text is one printable line; the empty text is.

    >>> is_line("Zoë"), is_line("two\nlines"), is_line("\x1b[2J")
    (True, False, False)
    """
    # isprintable is fast, but also refuses other spaces and invisible characters
    return text.isprintable() or not any(category(sign) in UNPRINTABLE for sign in text)


def line_of_text(value: object, field: str) -> str:
    """A value checked to be one printable line.

    Args:
        value: of an untrusted file.
        field: its name, for the message.

    Raises:
        ValueError: anything else.
    """
    if not isinstance(value, str) or not is_line(value):
        raise ValueError(f"{field} is {shown(value)}, not one line of text")
    return value


def printable(text: str) -> str:
    r"""A text with unprintable characters replaced by question marks.

    >>> printable("a\tb.onnx")
    'a?b.onnx'
    """
    return "".join("?" if category(sign) in UNPRINTABLE else sign for sign in text)


def shown(value: object) -> str:
    """Short representation of an untrusted value, for a message."""
    return reprlib.repr(value)
