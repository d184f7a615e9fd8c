"""Scores to thresholds and probabilities of a model file."""
