"""Every word that a user may choose; stdlib only, so that ``--help`` stays light."""

from __future__ import annotations

from enum import Enum

MIN_FACE = 40.0
"""Side of the smallest face looked for, in pixels; smaller ones hardly tell who someone is."""


class Engine(str, Enum):
    """Where bulk work runs."""

    THREADS = "threads"
    PROCESSES = "processes"
    RAY = "ray"


class FaceChoice(str, Enum):
    """What to do with several faces in one photo."""

    PROMINENT = "prominent"
    LARGEST = "largest"
    CENTER = "center"
    ONLY = "only"
    ALL = "all"


class CodeMethod(str, Enum):
    """Where the directions of codes come from."""

    CENTRED = "centred"  # random, from the mean of the gallery
    ITQ = "itq"  # rotated to the gallery besides
    RANDOM = "random"  # knowing nothing of the gallery


class GroupingMethod(str, Enum):
    """How faces are grouped."""

    AGGLOMERATIVE = "agglomerative"  # average linkage, up to the threshold
    HDBSCAN = "hdbscan"  # Campello et al., PAKDD 2013: dense groups; the others stay alone


class Fusion(str, Enum):
    """How the several templates of one person make one distance."""

    MAX = "max"  # the best: the distance of the nearest template
    MEAN = "mean"  # the distance to the mean of the person's templates, of length 1


class SearchMethod(str, Enum):
    """How a gallery in a folder is searched."""

    EXACT = "exact"  # every embedding is compared
    CODES = "codes"  # binary templates find a shortlist, embeddings decide
