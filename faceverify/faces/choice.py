"""Which face is meant, as a user says it. Light, so that option parsing loads nothing else."""

from __future__ import annotations

from enum import Enum

MIN_FACE = 40.0
"""Side of the smallest face looked for, in pixels; smaller ones hardly tell who someone is."""


class FaceChoice(str, Enum):
    """What to do with several faces in one photo."""

    PROMINENT = "prominent"
    LARGEST = "largest"
    CENTER = "center"
    ONLY = "only"
    ALL = "all"
