"""Embeddings of photos: of one, of many, cached, and in files."""
