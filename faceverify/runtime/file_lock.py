"""One writer at a time, over all processes of a machine: a lock file that dies with its process."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

SHORTEST, LONGEST = 0.0005, 0.02  # seconds between two tries


class FileLock:
    """A lock that one process holds at a time; the kernel frees it however the process ends.

    Where the system has no such locks (Windows), SQLite's own are all there is: see
    ``gallery/sqlite/schema.py``.

    Args:
        path: the lock file; made, readable by its owner alone, if it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def take(self, seconds: float) -> bool:
        """Wait at most so long for the lock; 0 to try once. False where another one keeps it.

        Raises:
            OSError: the lock file can neither be opened nor made.
        """
        try:
            import fcntl
        except ImportError:
            return True
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline, pause = time.monotonic() + seconds, SHORTEST
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        return False
                else:
                    self._handle, handle = handle, -1
                    return True
                time.sleep(pause * random.random())  # noqa: S311 (several wait: not in step)
                pause = min(2 * pause, LONGEST)
        finally:
            if handle >= 0:
                os.close(handle)

    def give_back(self) -> None:
        """Let the next one in."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
