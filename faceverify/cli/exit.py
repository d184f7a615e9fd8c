"""The end of the process: by itself or by a signal, and kept waiting by no thread."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from faceverify.runtime.patience import WAITING

# Signals that end a command, and how that is reported; Windows has no SIGHUP.
ENDINGS = {"SIGHUP": "hung up", "SIGINT": "interrupted", "SIGTERM": "terminated"}
BY_A_SIGNAL = 128  # less than the exit status that shells give a process ended by signal N: 128 + N
SAME_SIGNAL = 1.0  # seconds: timeout(1) sends one to the command, then one to the command's group
GRACE = 1.0  # seconds for photos in work, so that the files being written appear whole
FEED = "feed"  # the thread in which map_ordered reads its input
WORKERS = "ThreadPoolExecutor"


class EndedBySignal(KeyboardInterrupt):
    """A signal that ends the command, raised in the main thread.

    A KeyboardInterrupt, because libraries (the driver of a database, a progress bar) tidy up after
    Ctrl-C: so they do after the other signals, too.
    """


class Ending:
    """Whether a signal ended the command; ``status`` is the exit status that says so, else 0."""

    status: int = 0
    _when: float = 0.0

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal; the same one once more, at once, must not disturb the tidying up.

        Raises:
            EndedBySignal: for the first, and for a later one: some library may have lost the first.
        """
        now = time.monotonic()
        if self.status and now - self._when < SAME_SIGNAL:
            return
        self.status, self._when = BY_A_SIGNAL + number, now
        raise EndedBySignal


def end_on_signals() -> Ending:
    """Have SIGINT, SIGTERM and SIGHUP end the command tidily, with an exception.

    SIGINT and SIGHUP stay ignored where they are: that is how a shell protects background jobs, and
    nohup its command. SIGTERM always ends it, even if the parent had it ignored or blocked.
    """
    ending = Ending()
    for number in _ending_signals():
        if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, ending.receive)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    return ending


def words_of(status: int) -> str:
    """How a signal ended the command, by its exit status; empty for any other status."""
    for number in _ending_signals():
        if status == BY_A_SIGNAL + number:
            return ENDINGS[number.name]
    return ""


def leave(status: int) -> NoReturn:
    """Exit, also while input is still being waited for.

    An ordinary exit waits for worker threads, which may be reading a pipe that nobody writes to;
    and it aborts (status 134) where a thread holds the lock of standard input.
    """
    _set_handled_signals(signal.SIG_IGN)
    deadline = time.monotonic() + GRACE
    for thread in threads_named(WORKERS):
        thread.join(max(0.0, deadline - time.monotonic()))
    _set_handled_signals(signal.SIG_DFL)
    ray = sys.modules.get("faceverify.runtime.ray_cluster")
    if not any(map(threads_named, (FEED, WORKERS, WAITING))) and not (ray and ray.lost):
        atexit.register(gc.freeze)  # no search for cycles among all that was imported: 0.03 s
        sys.exit(status)
    with suppress(OSError, ValueError):  # closed by its reader
        sys.stdout.flush()
    os._exit(status)


def threads_named(start: str) -> list[threading.Thread]:
    """Return the threads at work whose names begin so."""
    return [thread for thread in threading.enumerate() if thread.name.startswith(start)]


def _ending_signals() -> Iterator[signal.Signals]:
    for name in ENDINGS:
        if hasattr(signal, name):
            yield signal.Signals[name]


def _set_handled_signals(disposition: signal.Handlers) -> None:
    """Change what a signal does, unless it is ignored."""
    for number in _ending_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, disposition)
