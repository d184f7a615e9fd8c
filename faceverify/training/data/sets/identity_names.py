"""Names of the people of formats that know them by number: ``identities.txt``, one a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceverify.training.data.sets.errors import data_error

NAMES_FILE = "identities.txt"


def read_names(folder: Path, numbers: NDArray[np.int64]) -> list[str]:
    """Names of the people of some numbers; where no file tells them, the numbers as text.

    Args:
        folder: where the images lie.
        numbers: of the people, rising, (C,).

    Raises:
        TrainingError: the file cannot be read, has too few names, or one twice.
    """
    path = folder / NAMES_FILE
    try:
        names = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")[:-1]
    except FileNotFoundError:
        return [str(number) for number in numbers]
    except OSError as error:
        raise data_error(f"{path}: cannot be read ({error.strerror})") from error
    different = len(set(names))
    if len(names) <= numbers.max() or different != len(names):
        raise data_error(
            f"{path}: has {different} different names, where people have numbers up to "
            f"{numbers.max()}",
            "remove it, or give one name a line, each once",
        )
    return [names[number] for number in numbers]


def write_names(folder: Path, names: Sequence[str]) -> None:
    """Write the names of people 0, 1, ...; OSError where that fails."""
    text = "".join(f"{name}\n" for name in names)
    (folder / NAMES_FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
