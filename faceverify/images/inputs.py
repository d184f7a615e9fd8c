"""The photos that a command is given: paths, folders, URLs, and ``-``, standard input.

Standard input is one photo, or a list of paths, one a line; its first bytes tell which.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from faceverify.errors import FaceverifyError, ImageError
from faceverify.images.object_store import is_url

STANDARD_INPUT = "-"


# Images whose first bytes are text, or could be; all others have a zero byte or are no UTF-8.
TEXTUAL_IMAGE = re.compile(
    rb"P[1-7]\s|P[Ff]\s|GIF8|RIFF....WEBP|qoif|BM|8BPS|/\* XPM|#define", re.S
)


@dataclass(frozen=True)
class PhotoInput:
    """One photo to work on.

    Attributes:
        name: its path, or "-" for the photo on standard input.
        place: where it belongs below a folder of results: its path from the folder that was named.
        error: why there is no photo.
    """

    name: str
    place: str
    error: FaceverifyError | None = None

    @property
    def question(self) -> str:
        """The photo, as an operator is asked about it."""
        return self.name


def find_inputs(arguments: Iterable[str]) -> Iterator[PhotoInput]:
    """Yield the photos in order; folders are walked and lists read as the photos are taken.

    A folder that cannot be read, or holds no photo, comes as an input with an error.
    """
    from faceverify.images.discovery import find_photos

    for argument in arguments:
        if argument == STANDARD_INPUT:
            yield from standard_input()
        elif is_url(argument):
            yield from stored_photos(argument)
        elif os.path.isdir(argument):
            found, problems = False, list[ImageError]()
            for path in find_photos(Path(argument), unreadable=problems.append):
                yield PhotoInput(str(path), str(path.relative_to(argument)))
                found = True
            if not found and not problems:
                problems = [ImageError(f"{argument}: no photos in it", code="image-missing")]
            for problem in problems:
                yield PhotoInput(argument, "", problem)
        else:
            yield PhotoInput(argument, os.path.basename(argument))


def stored_photos(url: str) -> Iterator[PhotoInput]:
    """Yield the photo at a URL, or all below it."""
    from faceverify.images.discovery import is_photo_name
    from faceverify.images.object_store import is_folder, list_objects

    try:
        if not is_folder(url):
            yield PhotoInput(url, os.path.basename(url))
            return
        found = False
        for photo in list_objects(url):
            path = photo.partition("?")[0]
            if is_photo_name(path):
                yield PhotoInput(photo, os.path.relpath(path, url.partition("?")[0]))
                found = True
        if not found:
            raise ImageError(f"{url}: no photos in it", code="image-missing")
    except ImageError as error:
        yield PhotoInput(url, "", error)


def standard_input() -> Iterator[PhotoInput]:
    """Yield what standard input is: a photo, or the paths that it lists."""
    from faceverify.runtime.table_lines import decoded

    stream = sys.stdin.buffer
    if is_photo(first_bytes(stream)):
        yield PhotoInput(STANDARD_INPUT, "standard-input.png")
        return
    for line in decoded(stream):
        if line:
            yield PhotoInput(line, os.path.basename(line))


def not_shared() -> ImageError:
    """The error about a photo that a worker in another process cannot read."""
    return ImageError("a photo on standard input is read with --engine threads alone")


def first_bytes(stream: BinaryIO) -> bytes:
    """Look at what a stream begins with; whoever reads it next still gets all of it."""
    peek: Callable[[int], bytes] = stream.peek  # type: ignore[attr-defined]  # it is buffered
    return peek(4096)


def is_photo(start: bytes) -> bool:
    """Tell an image from a list of paths by the bytes that it begins with; nothing is no list."""
    if not start or b"\0" in start or TEXTUAL_IMAGE.match(start):
        return True
    line, _, rest = start.partition(b"\n")
    try:
        # the last character may be cut in two where the bytes end before the line does
        codecs.getincrementaldecoder("utf-8")().decode(line, final=bool(rest))
    except UnicodeDecodeError:
        return not os.path.lexists(os.fsdecode(line.rstrip(b"\r")))
    return False
