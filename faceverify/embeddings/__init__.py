"""Photos to embeddings: one, many, cached, on disk."""
