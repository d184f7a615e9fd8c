"""What a launcher of several processes, such as torchrun, says in the environment."""

from __future__ import annotations

import os

from faceverify.errors import UsageError

LAUNCHER = "start the processes with torchrun, or unset it"


def launched(name: str, default: int | None = None) -> int:
    """A number of the environment: ``RANK``, ``WORLD_SIZE``, ...

    Args:
        name: of the variable.
        default: where it is not set; None where it has to be.

    Raises:
        UsageError: it is not set, or no whole number.
    """
    text = os.environ.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isascii() or not text.isdigit():
        found = "is not set" if text is None else f"is {text!r}, no whole number"
        raise UsageError(f"environment: {name} {found}", cure=LAUNCHER)
    return int(text)
