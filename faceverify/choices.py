"""Enumerations of the command line's options; stdlib only, so that ``--help`` is fast."""

from __future__ import annotations

from enum import Enum

MIN_FACE = 40.0
"""Side of the smallest face that is detected, in pixels; smaller ones are rarely recognisable."""


class Distance(str, Enum):
    """Distance of two embeddings of length 1."""

    COSINE = "cosine"  # 1 - cosine; thresholds are of this one
    EUCLIDEAN = "euclidean"  # sqrt(2 x cosine distance): the same order of pairs
    MANHATTAN = "manhattan"  # sum of the differences' absolute values


class Engine(str, Enum):
    """Execution of work on many photos."""

    THREADS = "threads"
    PROCESSES = "processes"
    RAY = "ray"


class FaceChoice(str, Enum):
    """Face selection in a photo that shows several."""

    PROMINENT = "prominent"
    LARGEST = "largest"
    CENTER = "center"
    ONLY = "only"
    ALL = "all"


class CodeMethod(str, Enum):
    """Directions of binary templates."""

    CENTRED = "centred"  # random, from the mean of the gallery as origin
    ITQ = "itq"  # rotated to the gallery besides
    RANDOM = "random"  # independent of the gallery


class ClusteringMethod(str, Enum):
    """Clustering of faces."""

    AGGLOMERATIVE = "agglomerative"  # average linkage, up to the threshold
    HDBSCAN = "hdbscan"  # Campello et al., PAKDD 2013: dense clusters, others are single


class Fusion(str, Enum):
    """Fusion of the distances to a person's several templates."""

    MAX = "max"  # of similarities: the distance of the nearest template
    MEAN = "mean"  # the distance to the mean of the person's templates, of length 1


class SearchMethod(str, Enum):
    """Search of a gallery in a folder."""

    EXACT = "exact"  # every embedding is compared
    CODES = "codes"  # binary templates find a shortlist, embeddings decide


class Classes(str, Enum):
    """People or classes of a benchmark that are evaluated."""

    ALL = "all"
    LAST_HALF = "last-half"  # of their sorted numbers or names: what metric learning tests on
