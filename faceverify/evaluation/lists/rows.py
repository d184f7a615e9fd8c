"""Rows of a pair list, and the reading of lines with errors that name file and line."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from faceverify.errors import PairListError
from faceverify.runtime.table_lines import is_row
from faceverify.runtime.text_lines import NotTextError, text_of

if TYPE_CHECKING:
    from pathlib import Path

Lines = list[tuple[int, str]]  # line numbers, from 1, and texts

TRUE_WORDS = frozenset({"1", "1.0", "+1", "true", "same", "genuine", "match", "yes", "positive"})
FALSE_WORDS = frozenset(
    {"0", "0.0", "-1", "-1.0", "false", "diff", "different", "impostor", "mismatch", "no"}
    | {"negative"}
)


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


def table_error(message: str, cure: str) -> PairListError:
    """The error of a table with a header, see :func:`~faceverify.runtime.headed_table`."""
    return PairListError(message, cure=cure)


def read_lines(path: Path, *, size: int = -1) -> Lines:
    """Lines of a text file, stripped, without blank ones and comments (``# ...``).

    Args:
        path: the file.
        size: bytes to read at most, from its start; -1 for all.

    Raises:
        PairListError: the file is missing, is no text, or has no such line.
    """
    lines = [(number, text.strip()) for number, text in read_text_lines(path, size) if is_row(text)]
    if not lines:
        raise no_pairs(str(path))
    return lines


def read_text_lines(path: Path, size: int = -1) -> Lines:
    """All lines of a text file, in any encoding and with any newline that ``text_of`` knows.

    Raises:
        PairListError: the file is missing, is no text, or is empty.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(size)
        text = text_of(data, cut=len(data) == size)
    except OSError as error:
        raise PairListError(
            f"{path}: cannot be read ({error.strerror})", cure="check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise PairListError(
            f"{path}: found byte {error.start} that is not {error.encoding.upper()}, expected a "
            "text file",
            cure="a verification pack ends in .bin; save a list as UTF-8",
        ) from error
    except NotTextError as error:
        raise binary(str(path)) from error
    if not text.strip():
        raise PairListError(f"{path}:1: found an empty file, expected pairs", cure="check the path")
    return list(enumerate(text.split("\n"), 1))


def binary(source: str) -> PairListError:
    """The error of a list that is no text."""
    return PairListError(
        f"{source}: found a binary file, expected text",
        cure="a verification pack ends in .bin; save a list as UTF-8",
    )


def no_pairs(source: str) -> PairListError:
    """The error of a list without lines, or with comments alone."""
    return PairListError(f"{source}: found no pairs, expected at least one", cure="check the list")


def integer(path: Path, line: int, text: str, what: str) -> int:
    """A non-negative decimal integer; PairListError with the line otherwise."""
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    raise wrong_line(path, line, repr(text), what, "correct the line")


def label(path: Path, line: int, text: str) -> bool:
    """A label, as 1/0, 1/-1, true/false, same/different or genuine/impostor."""
    if not is_label(text):
        raise wrong_line(
            path,
            line,
            f"label {text!r}",
            "1/0, true/false, same/different or genuine/impostor",
            "correct the label",
        )
    return text.strip().lower() in TRUE_WORDS


def is_label(text: str) -> bool:
    """Whether a text is a label."""
    return text.strip().lower() in TRUE_WORDS | FALSE_WORDS


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
