"""Checks of a training set."""
