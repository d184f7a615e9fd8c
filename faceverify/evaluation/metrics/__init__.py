"""Metrics of scores and embeddings: error rates, accuracy, retrieval, identification."""
