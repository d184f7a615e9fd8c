"""The verification decision of two photos, as Python values and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faceverify.errors import DIFFERENT, SAME, FaceverifyError
from faceverify.matching.operating_point import OperatingPoint


@dataclass(frozen=True)
class Decision:
    """A verification decision: same person, different people, or the error that prevented it.

    Attributes:
        a, b: names of the photos, as given.
        distance: cosine distance in [0, 2]; None after an error.
        point: the operating point, for faces of this quality.
        error: why there is no decision.
        quality_a, quality_b: of the faces, in [0, 1]; None where it was not measured.
        turned_a, turned_b: degrees by which a photo had to be turned anticlockwise.
    """

    a: str
    b: str
    distance: float | None
    point: OperatingPoint
    error: FaceverifyError | None = None
    quality_a: float | None = None
    quality_b: float | None = None
    turned_a: int = 0
    turned_b: int = 0

    @property
    def same(self) -> bool | None:
        """True for the same person, False for different people, None after an error."""
        if self.distance is None:
            return None
        return self.distance <= self.point.threshold

    @property
    def exit_status(self) -> int:
        """0 same, 1 different; after an error, its exit status."""
        if self.error is not None:
            return self.error.exit_status
        return SAME if self.same else DIFFERENT

    def as_dict(self) -> dict[str, Any]:
        """JSON values; the error as a code and a message."""
        return {
            "a": self.a,
            "b": self.b,
            "same": self.same,
            "distance": None if self.distance is None else round(self.distance, 6),
            "threshold": self.point.threshold,
            "quality_a": None if self.quality_a is None else round(self.quality_a, 4),
            "quality_b": None if self.quality_b is None else round(self.quality_b, 4),
            "turned_a": self.turned_a,
            "turned_b": self.turned_b,
            "fmr": self.point.fmr,
            "model": self.point.model,
            "model_id": self.point.model_id,
            "error": None if self.error is None else self.error.as_dict(),
        }

    def __str__(self) -> str:
        """One line of text."""
        if self.distance is None:
            return f"no decision: {self.error}"
        where = "at most" if self.same else "above"
        rate = "" if self.point.fmr is None else f" (false match rate {self.point.fmr:g})"
        turned = "".join(
            f"; {photo} turned by {degrees} degrees"
            for photo, degrees in ((self.a, self.turned_a), (self.b, self.turned_b))
            if degrees
        )
        return (
            f"{'same person' if self.same else 'different people'}: distance {self.distance:.4f}, "
            f"{where} the threshold {self.point.threshold:.4f}{rate} of {self.point.model}{turned}"
        )
