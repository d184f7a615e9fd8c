"""Lines of text as programs write them: UTF-8 or UTF-16, any newline, or NUL between lines.

Windows PowerShell writes UTF-16, Excel a byte order mark, ``find -print0`` NUL after each name.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

START = 4096  # bytes that tell encoding and newline
CHUNK = 1 << 16
BYTE_ORDER_MARKS = (  # UTF-32's little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BINARY = re.compile(r"[\x01-\x08\x0e-\x19\x1b-\x1f]|\0{3}")  # no text holds these beside NUL


class NotTextError(ValueError):
    """Bytes that are no text."""


class TextForm(NamedTuple):
    """Encoding of a text, and the character that ends its lines."""

    encoding: str
    end: str


def text_form(start: bytes) -> TextForm:
    r"""How a text is written, by its first bytes.

    >>> text_form("a.jpg\r\n".encode("utf-16")), text_form(b"a.jpg\0b.jpg\0")
    (TextForm(encoding='utf-16', end='\n'), TextForm(encoding='utf-8', end='\x00'))

    Raises:
        NotTextError: the bytes are no text.
    """
    encoding = _encoding(start)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(start)
    if "\0" in text:
        if BINARY.search(text):
            raise NotTextError
        return TextForm(encoding, "\0")
    return TextForm(encoding, "\r" if "\r" in text and "\n" not in text else "\n")


def _encoding(start: bytes) -> str:
    for mark, encoding in BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return encoding
    even, odd = start[0::2], start[1::2]
    # UTF-16 without a mark: of Latin letters, one byte of the two is zero, and always the same
    if len(odd) > 1 and 2 * odd.count(0) > len(odd) and 0 not in even:
        return "utf-16-le"
    if len(even) > 1 and 2 * even.count(0) > len(even) and 0 not in odd:
        return "utf-16-be"
    return "utf-8"


def decoded_lines(stream: BinaryIO) -> Iterator[str]:
    """Lines of a stream, each as soon as it is there; bytes that are no UTF-8 as surrogates.

    Raises:
        NotTextError: the stream begins with bytes that are no text.
        OSError: it cannot be read.
    """
    read: Callable[[int], bytes] = stream.read1  # type: ignore[attr-defined]  # it is buffered
    start = b""
    while (len(start) < 4 or start.endswith(b"\r")) and (more := read(START)):
        start += more
    encoding, end = text_form(start)
    # file names are bytes to the system, whatever they mean; in UTF-16 there are no such names
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    parts: list[str] = []  # of the line that has not ended
    chunk = start
    while chunk:
        *ended, rest = decoder.decode(chunk).split(end)
        for line in ended:
            yield "".join([*parts, line]).removesuffix("\r")
            parts = []
        if rest:
            parts.append(rest)
        chunk = read(CHUNK)
    last = "".join([*parts, decoder.decode(b"", final=True)]).removesuffix("\r")
    if last:
        yield last


def text_of(data: bytes, *, cut: bool = False) -> str:
    r"""A whole text, each line ended by ``\n``.

    Args:
        data: its bytes.
        cut: whether they are only the first; the line that they end in is left out.

    Raises:
        NotTextError: the bytes are no text.
        UnicodeDecodeError: a byte that the encoding does not have.
    """
    encoding, end = text_form(data[:START])
    text = codecs.getincrementaldecoder(encoding)().decode(data, final=not cut)
    if end == "\0":
        text = text.replace("\0", "\n")
    elif "\0" in text:
        raise NotTextError
    text = re.sub(r"\r\n|\r", "\n", text)
    return text.rpartition("\n")[0] if cut else text
