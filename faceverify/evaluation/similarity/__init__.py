"""Similarity of two models: what their layers make of the same photos."""
