"""Embeddings on disk: ``.npz``, Parquet, JSON lines, or a folder of shards.

``embed`` writes them, ``evaluate`` and whoever else wants rows reads them. Every file names the
model whose embeddings it holds; rows of two models never come out of one read.
"""

from faceverify.embedding_files.reading import read_embeddings
from faceverify.embedding_files.rows import EmbeddingSet

__all__ = ["EmbeddingSet", "read_embeddings"]
