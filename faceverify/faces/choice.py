"""Which face is meant, as a user says it. Light, so that option parsing loads nothing else."""

from __future__ import annotations

from enum import Enum


class FaceChoice(str, Enum):
    """What to do with several faces in one photo."""

    PROMINENT = "prominent"
    LARGEST = "largest"
    CENTER = "center"
    ONLY = "only"
    ALL = "all"
