"""How faces are grouped, as a user says it. Light, so that option parsing loads nothing else."""

from __future__ import annotations

from enum import Enum


class Method(str, Enum):
    """How faces are grouped."""

    AGGLOMERATIVE = "agglomerative"  # average linkage, up to the threshold
    HDBSCAN = "hdbscan"  # Campello et al., PAKDD 2013: dense groups; the others stay alone
