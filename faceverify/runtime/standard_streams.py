"""Standard input, output and error, also where the parent closed one of them (``<&-``, ``>&-``)."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, TextIO


def standard_input() -> BinaryIO:
    """Standard input as bytes.

    Raises:
        OSError: it is closed.
    """
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    return sys.stdin.buffer


def occupy_closed_streams() -> bool:
    """Keep the numbers of closed streams from files that are opened later.

    What is meant for a closed stream would be written into such a file, such as a database.
    Messages for a closed standard error go nowhere.

    Returns:
        Whether standard output was open.
    """
    for number in range(3):
        with suppress(OSError):
            os.fstat(number)
            continue
        taken = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
        os.set_inheritable(taken, True)  # by worker processes
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w")  # print(file=None) would print to stdout
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w")
        return False
    return True


def print_message(text: str, *, end: str = "\n") -> None:
    """Print to standard error; a full or broken one ends no work, as messages are no results."""
    with suppress(OSError):
        print(text, end=end, file=sys.stderr, flush=True)


class WatchedOutput:
    """Standard output that remembers why it could not be written.

    A file that cannot be written ends in an OSError, too, which says nothing of where.

    Attributes:
        failure: the last error of a write; None without one.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write, as the stream does."""
        with self._remembered():
            return self._stream.write(text)

    def flush(self) -> None:
        """Flush, as the stream does."""
        with self._remembered():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = error
            raise


@contextmanager
def watched_output() -> Iterator[WatchedOutput]:
    """Standard output watched, for a while."""
    stream = sys.stdout
    watched = WatchedOutput(stream)
    sys.stdout = watched  # it has all that a text stream has
    try:
        yield watched
    finally:
        sys.stdout = stream


def discard_output() -> None:
    """Send standard output nowhere from now on, with what is still to be flushed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
