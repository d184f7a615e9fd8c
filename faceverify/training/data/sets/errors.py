"""Errors of training data."""

from __future__ import annotations

from faceverify.errors import TrainingError


def data_error(message: str, cure: str = "") -> TrainingError:
    """TrainingError with the code ``training-data``."""
    return TrainingError(message, cure=cure, code="training-data")
