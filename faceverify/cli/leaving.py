"""The end of the process: never kept waiting by a thread that waits for its input."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from typing import NoReturn

GRACE = 1.0  # seconds for photos in work, so that the files being written appear whole
FEED = "feed"  # the thread in which map_ordered reads its input
WORKERS = "ThreadPoolExecutor"


def leave(status: int) -> NoReturn:
    """Exit, also while input is still being waited for.

    An ordinary exit waits for worker threads, which may be reading a pipe that nobody writes to;
    and it aborts (status 134) where a thread holds the lock of standard input.
    """
    deadline = time.monotonic() + GRACE
    for thread in threads_named(WORKERS):
        thread.join(max(0.0, deadline - time.monotonic()))
    if not threads_named(FEED) and not threads_named(WORKERS):
        sys.exit(status)
    with suppress(OSError, ValueError):  # closed by its reader
        sys.stdout.flush()
    os._exit(status)


def threads_named(start: str) -> list[threading.Thread]:
    """Return the threads at work whose names begin so."""
    return [thread for thread in threading.enumerate() if thread.name.startswith(start)]
