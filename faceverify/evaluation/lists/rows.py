"""One row of a pair list, the lines it is read from, and how a wrong line is told."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from faceverify.errors import PairListError

if TYPE_CHECKING:
    from pathlib import Path

Lines = list[tuple[int, str]]  # their numbers, from 1, and what is on them

TRUE_WORDS = frozenset({"1", "true", "same", "genuine", "match", "yes"})
FALSE_WORDS = frozenset({"0", "false", "different", "impostor", "mismatch", "no"})


class Row(NamedTuple):
    """A comparison as its file states it.

    Args:
        line: where it stands, counted from 1, to be named in errors.
        first, second: image paths or ids, as listed (LFW lines: ``NAME/NAME_0001.jpg``).
        same: whether the list says that both are one person.
        first_identity, second_identity: empty when unknown.
        fold: counted from 0.
    """

    line: int
    first: str
    second: str
    same: bool
    first_identity: str = ""
    second_identity: str = ""
    fold: int | None = None
    group: str | None = None


def wrong_line(path: Path, line: int, found: str, expected: str, cure: str) -> PairListError:
    """Build an error about a list: ``file:line: found ..., expected ...; cure``."""
    shown = found if len(found) <= 120 else found[:117] + "..."
    return PairListError(f"{path}:{line}: found {shown}, expected {expected}", cure=cure)


def read_lines(path: Path) -> Lines:
    """Return the lines that are not blank, with their numbers, stripped.

    Raises:
        PairListError: the file is missing, is not UTF-8 text, or holds nothing.
    """
    return [(number, line.strip()) for number, line in read_text_lines(path) if line.strip()]


def read_text_lines(path: Path) -> Lines:
    """Return all lines as they stand, with their numbers; any newline, with or without BOM.

    Raises:
        PairListError: the file is missing, is not UTF-8 text, or holds nothing.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise PairListError(
            f"{path}: cannot be read ({error.strerror})", cure="check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise PairListError(
            f"{path}: found byte {error.start} that is not UTF-8, expected a text file",
            cure="a verification pack ends in .bin; save a list as UTF-8",
        ) from error
    if "\0" in text:
        raise PairListError(f"{path}: found a binary file, expected text", cure="save it as UTF-8")
    if not text.strip():
        raise PairListError(f"{path}:1: found an empty file, expected pairs", cure="check the path")
    return list(enumerate(re.split(r"\r\n|\n|\r", text), 1))


def integer(path: Path, line: int, text: str, what: str) -> int:
    """Read a non-negative decimal integer, or raise the error that names its line."""
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    raise wrong_line(path, line, repr(text), what, "correct the line")


def label(path: Path, line: int, text: str) -> bool:
    """Read a label in any of the usual words: 1/0, true/false, same/different, genuine/impostor."""
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise wrong_line(
        path,
        line,
        f"label {text!r}",
        "1/0, true/false, same/different or genuine/impostor",
        "correct the label",
    )


def identity_of(image: str) -> str:
    """Name the person of an image path.

    A numbered file carries the name before its number (``Ann_Lee_0002.jpg``); otherwise a folder
    does (``ann/front.jpg``); a bare file names nobody.

    >>> identity_of("Ann_Lee_0002.jpg"), identity_of("ann/front.jpg"), identity_of("x.jpg")
    ('Ann_Lee', 'ann', '')
    """
    path = PurePosixPath(image)
    numbered = re.fullmatch(r"(.+)_\d+", path.stem)
    return numbered.group(1) if numbered else path.parent.name
