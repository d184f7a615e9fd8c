"""Embeddings on disk: ``.npz``, Parquet, JSON lines, or a folder of shards.

``embed`` writes them, ``evaluate`` and whoever else wants rows reads them. Every file names the
model whose embeddings it holds; rows of two models never come out of one read.
"""

from faceverify.embeddings.embedding_set import EmbeddingSet
from faceverify.embeddings.formats.reading import read_embeddings

__all__ = ["EmbeddingSet", "read_embeddings"]
