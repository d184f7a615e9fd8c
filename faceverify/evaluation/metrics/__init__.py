"""Scores to numbers: error rates, accuracy, retrieval, identification."""
