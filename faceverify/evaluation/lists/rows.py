"""Rows of a pair list, and the reading of lines with errors that name file and line."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from faceverify.errors import PairListError

if TYPE_CHECKING:
    from pathlib import Path

Lines = list[tuple[int, str]]  # line numbers, from 1, and texts

TRUE_WORDS = frozenset({"1", "true", "same", "genuine", "match", "yes"})
FALSE_WORDS = frozenset({"0", "false", "different", "impostor", "mismatch", "no"})


class Row(NamedTuple):
    """A listed comparison.

    Args:
        line: line number, from 1, for errors.
        first, second: image paths or ids, as listed (LFW lines: ``NAME/NAME_0001.jpg``).
        same: whether the pair is genuine.
        first_identity, second_identity: empty when unknown.
        fold: from 0; None without folds.
        group: None without groups.
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
    """The error of a line: ``file:line: found ..., expected ...; cure``."""
    shown = found if len(found) <= 120 else found[:117] + "..."
    return PairListError(f"{path}:{line}: found {shown}, expected {expected}", cure=cure)


def read_lines(path: Path) -> Lines:
    """Lines of a text file that are not blank, stripped.

    Raises:
        PairListError: the file is missing, is not UTF-8 text, or is empty.
    """
    return [(number, line.strip()) for number, line in read_text_lines(path) if line.strip()]


def read_text_lines(path: Path) -> Lines:
    """All lines of a text file; any newline convention, with or without BOM.

    Raises:
        PairListError: the file is missing, is not UTF-8 text, or is empty.
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
    """A non-negative decimal integer; PairListError with the line otherwise."""
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    raise wrong_line(path, line, repr(text), what, "correct the line")


def label(path: Path, line: int, text: str) -> bool:
    """A label, as 1/0, true/false, same/different or genuine/impostor."""
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
    """The identity of an image path; empty if it has none.

    The name before the number of a numbered file (``Ann_Lee_0002.jpg``), otherwise the folder
    (``ann/front.jpg``).

    >>> identity_of("Ann_Lee_0002.jpg"), identity_of("ann/front.jpg"), identity_of("x.jpg")
    ('Ann_Lee', 'ann', '')
    """
    path = PurePosixPath(image)
    numbered = re.fullmatch(r"(.+)_\d+", path.stem)
    return numbered.group(1) if numbered else path.parent.name
