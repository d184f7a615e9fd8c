"""Lock file: mutual exclusion of the processes of a machine, by ``flock``."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

SHORTEST, LONGEST = 0.0005, 0.02  # seconds between attempts


class FileLock:
    """An exclusive lock between processes; the kernel releases it when the process ends.

    Without effect where the system has no such locks (Windows): there, SQLite's locks are the only
    ones, see ``gallery/sqlite/schema.py``.

    Args:
        path: of the lock file; created, readable by its owner alone, if missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def take(self, seconds: float) -> bool:
        """Acquire the lock, with a timeout in seconds, 0 to try once; False on timeout.

        Raises:
            OSError: the lock file cannot be opened or created.
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
                time.sleep(pause * random.random())  # noqa: S311 (jitter between waiting processes)
                pause = min(2 * pause, LONGEST)
        finally:
            if handle >= 0:
                os.close(handle)

    def give_back(self) -> None:
        """Release the lock."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
