"""A decision about two photos, as a script reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faceverify.errors import DIFFERENT, SAME, FaceverifyError


@dataclass(frozen=True)
class Operation:
    """Where a model is operated.

    Attributes:
        threshold: the largest cosine distance at which two faces match.
        fmr: the false match rate that the threshold was calibrated for; None for one set by hand.
        model: name of the model.
        model_id: its id; templates of different ids are never compared.
    """

    threshold: float
    fmr: float | None
    model: str
    model_id: str


@dataclass(frozen=True)
class Decision:
    """Whether two photos show the same person, or why that could not be decided.

    Attributes:
        a, b: what the user called the photos.
        distance: cosine distance in [0, 2]; None where nothing was decided.
        operation: the threshold and the model.
        error: why nothing was decided.
    """

    a: str
    b: str
    distance: float | None
    operation: Operation
    error: FaceverifyError | None = None

    @property
    def same(self) -> bool | None:
        """True for the same person, False for different ones, None where nothing was decided."""
        if self.distance is None:
            return None
        return self.distance <= self.operation.threshold

    @property
    def exit_status(self) -> int:
        """0 same, 1 different; else the error's own."""
        if self.error is not None:
            return self.error.exit_status
        return SAME if self.same else DIFFERENT

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; the error as a code and a message."""
        return {
            "a": self.a,
            "b": self.b,
            "same": self.same,
            "distance": None if self.distance is None else round(self.distance, 6),
            "threshold": self.operation.threshold,
            "fmr": self.operation.fmr,
            "model": self.operation.model,
            "model_id": self.operation.model_id,
            "error": None if self.error is None else self.error.as_dict(),
        }

    def __str__(self) -> str:
        """One line for people."""
        if self.distance is None:
            return f"no decision: {self.error}"
        where = "at most" if self.same else "above"
        rate = "" if self.operation.fmr is None else f" (false match rate {self.operation.fmr:g})"
        return (
            f"{'same person' if self.same else 'different people'}: distance {self.distance:.4f}, "
            f"{where} the threshold {self.operation.threshold:.4f}{rate} of {self.operation.model}"
        )
