"""A decision about two photos, as a script reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faceverify.errors import DIFFERENT, SAME, FaceverifyError
from faceverify.matching.operating_point import OperatingPoint


@dataclass(frozen=True)
class Decision:
    """Whether two photos show the same person, or why that could not be decided.

    Attributes:
        a, b: what the user called the photos.
        distance: cosine distance in [0, 2]; None where nothing was decided.
        point: where the model is operated.
        error: why nothing was decided.
    """

    a: str
    b: str
    distance: float | None
    point: OperatingPoint
    error: FaceverifyError | None = None

    @property
    def same(self) -> bool | None:
        """True for the same person, False for different ones, None where nothing was decided."""
        if self.distance is None:
            return None
        return self.distance <= self.point.threshold

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
            "threshold": self.point.threshold,
            "fmr": self.point.fmr,
            "model": self.point.model,
            "model_id": self.point.model_id,
            "error": None if self.error is None else self.error.as_dict(),
        }

    def __str__(self) -> str:
        """One line for people."""
        if self.distance is None:
            return f"no decision: {self.error}"
        where = "at most" if self.same else "above"
        rate = "" if self.point.fmr is None else f" (false match rate {self.point.fmr:g})"
        return (
            f"{'same person' if self.same else 'different people'}: distance {self.distance:.4f}, "
            f"{where} the threshold {self.point.threshold:.4f}{rate} of {self.point.model}"
        )
