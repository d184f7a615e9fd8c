"""One line of printable text: the check of what strangers wrote, and the replacement of our own.

A terminal obeys control characters, half a surrogate pair cannot be printed or encoded, and a line
separator makes two lines of one.
"""

from __future__ import annotations

import reprlib
from unicodedata import category

UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # Unicode's control, surrogate, line and paragraph separator


def is_line(text: str) -> bool:
    r"""Whether a text is one line that can be printed; the empty one is.

    >>> is_line("Zoë"), is_line("two\nlines"), is_line("\x1b[2J")
    (True, False, False)
    """
    # Python's isprintable is at once, and refuses other spaces and invisible characters besides
    return text.isprintable() or not any(category(sign) in UNPRINTABLE for sign in text)


def line_of_text(value: object, field: str) -> str:
    """Pass on one printable line.

    Args:
        value: anything, out of a file that somebody else wrote.
        field: what to call it in the message.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, str) or not is_line(value):
        raise ValueError(f"{field} is {shown(value)}, not one line of text")
    return value


def printable(text: str) -> str:
    r"""A text with a question mark for each character that no printable line has.

    >>> printable("a\tb.onnx")
    'a?b.onnx'
    """
    return "".join("?" if category(sign) in UNPRINTABLE else sign for sign in text)


def shown(value: object) -> str:
    """Return a foreign value as a message may hold it: short, however long or deep it is."""
    return reprlib.repr(value)
