"""Photos named on the command line: paths, folders, URLs, and ``-``, standard input.

Standard input is one photo, or a list of paths, one a line, told apart by its first bytes.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from faceverify.errors import FaceverifyError, ImageError
from faceverify.images.object_store import is_url
from faceverify.runtime.file_kinds import HEAD, TEXT, kind_of_file
from faceverify.runtime.standard_streams import standard_input

STANDARD_INPUT = "-"


# Image formats that begin with text, or may; all others have a zero byte or are not UTF-8.
TEXTUAL_IMAGE = re.compile(
    rb"P[1-7]\s|P[Ff]\s|GIF8|RIFF....WEBP|qoif|BM|8BPS|/\* XPM|#define", re.S
)


@dataclass(frozen=True)
class PhotoInput:
    """A photo to process.

    Attributes:
        name: its path, or "-" for the photo on standard input.
        place: its path relative to the folder that was named; where its result goes.
        error: why there is no photo; None where there is one.
    """

    name: str
    place: str
    error: FaceverifyError | None = None

    @property
    def question(self) -> str:
        """The photo, as recognition takes it."""
        return self.name


def find_inputs(
    arguments: Iterable[str], *, passed: Callable[[Path], None] | None = None
) -> Iterator[PhotoInput]:
    """Photos of the arguments, in order; folders and lists are read lazily.

    A folder that cannot be read, or holds no photo, is yielded as an input with an error.

    Args:
        arguments: paths, folders, URLs and ``-``.
        passed: called with each file of a folder that is known to be no photo.
    """
    from faceverify.images.discovery import find_photos

    for argument in arguments:
        if argument == STANDARD_INPUT:
            yield from photos_of_standard_input()
        elif is_url(argument):
            yield from stored_photos(argument, passed)
        elif os.path.isdir(argument):
            found, problems = False, list[ImageError]()
            for path in find_photos(Path(argument), refuse=problems.append, passed=passed):
                yield PhotoInput(str(path), str(path.relative_to(argument)))
                found = True
            if not found and not problems:
                problems = [ImageError(f"{argument}: no photos in it", code="image-missing")]
            for problem in problems:
                yield PhotoInput(argument, "", problem)
        else:
            yield PhotoInput(argument, os.path.basename(argument))


def stored_photos(url: str, passed: Callable[[Path], None] | None = None) -> Iterator[PhotoInput]:
    """The photo at a URL of an object store, or all photos below it."""
    from faceverify.images.discovery import may_be_photo
    from faceverify.images.object_store import is_folder, list_objects, read_object

    try:
        if not is_folder(url):
            yield PhotoInput(url, os.path.basename(url))
            return
        found = False
        for photo in list_objects(url):
            path = photo.partition("?")[0]
            if may_be_photo(os.path.basename(path), partial(read_object, photo, HEAD)):
                yield PhotoInput(photo, os.path.relpath(path, url.partition("?")[0]))
                found = True
            elif passed is not None:
                passed(Path(path))
        if not found:
            raise ImageError(f"{url}: no photos in it", code="image-missing")
    except ImageError as error:
        yield PhotoInput(url, "", error)


def photos_of_standard_input() -> Iterator[PhotoInput]:
    """Standard input as inputs: one photo, or the paths that it lists."""
    from faceverify.images.photo import cannot_read
    from faceverify.runtime.text_lines import decoded_lines

    try:
        stream, found = standard_input(), False
        if is_photo(first_bytes(stream)):
            yield PhotoInput(STANDARD_INPUT, "standard-input.png")
            return
        for line in decoded_lines(stream):
            if line:
                yield PhotoInput(line, os.path.basename(line))
                found = True
        if not found:
            raise ImageError("standard input: lists no photos", code="image-missing")
    except OSError as problem:
        yield PhotoInput(STANDARD_INPUT, "", cannot_read("standard input", problem))
    except ImageError as error:
        yield PhotoInput(STANDARD_INPUT, "", error)


def not_shared() -> ImageError:
    """The error of a photo on standard input, which a worker process cannot read."""
    return ImageError("a photo on standard input is read with --engine threads alone")


def first_bytes(stream: BinaryIO) -> bytes:
    """The first bytes of a stream, at most 4096, which stay unread."""
    peek: Callable[[int], bytes] = stream.peek  # type: ignore[attr-defined]  # it is buffered
    return peek(4096)


def is_photo(start: bytes) -> bool:
    """Whether first bytes are those of a file, not of a list of paths; none count as a file."""
    from faceverify.runtime.text_lines import NotTextError, text_form

    kind = kind_of_file(start)
    if not start or TEXTUAL_IMAGE.match(start) or (kind is not None and kind is not TEXT):
        return True
    if b"\0" in start:  # UTF-16, or what find -print0 prints
        try:
            text_form(start)
        except NotTextError:
            return True
        return False
    line, _, rest = start.partition(b"\n")
    try:
        # the last character may be cut in two where the bytes end before the line does
        codecs.getincrementaldecoder("utf-8")().decode(line, final=bool(rest))
    except UnicodeDecodeError:
        return not os.path.lexists(os.fsdecode(line.rstrip(b"\r")))
    return False
