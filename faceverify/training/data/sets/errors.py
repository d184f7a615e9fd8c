"""Errors of training data."""

from __future__ import annotations

from faceverify.errors import TrainingError


def data_error(message: str, cure: str = "") -> TrainingError:
    """A TrainingError of the data."""
    return TrainingError(message, cure=cure, code="training-data")
