"""Where the directions of codes come from, as a user says it. Light, as ``grouping_method.py``."""

from __future__ import annotations

from enum import Enum


class CodeMethod(str, Enum):
    """Where the directions of codes come from."""

    CENTRED = "centred"  # random, from the mean of the gallery
    ITQ = "itq"  # rotated to the gallery besides
    RANDOM = "random"  # knowing nothing of the gallery
