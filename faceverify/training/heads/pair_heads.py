"""The heads that compare embeddings with each other, by the name on the command line."""

from __future__ import annotations

from faceverify.training.heads.head import Head

PAIR_HEADS: dict[str, type[Head]] = {}
