"""Embedding files: ``.npz``, Parquet, JSON lines, or a folder of shards.

Written by ``embed``, read by ``evaluate`` and others. Every file names its model; files of several
models are not read together.
"""

from faceverify.embeddings.embedding_set import EmbeddingSet
from faceverify.embeddings.formats.reading import read_embeddings

__all__ = ["EmbeddingSet", "read_embeddings"]
