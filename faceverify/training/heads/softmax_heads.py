"""The heads with class centres, by the name on the command line."""

from __future__ import annotations

from faceverify.training.heads.arcface import ArcFace
from faceverify.training.heads.cosface import CosFace
from faceverify.training.heads.head import Head
from faceverify.training.heads.softmax import Softmax

SOFTMAX_HEADS: dict[str, type[Head]] = {
    "softmax": Softmax,
    "cosface": CosFace,
    "arcface": ArcFace,
}
