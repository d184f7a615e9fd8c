"""Where a model is operated: the largest distance that still matches, and what that was set for."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_FMR = 1e-3
"""The false match rate of a verification, where no other is asked for."""


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold of one model, and the error rates that it keeps.

    Attributes:
        threshold: the largest cosine distance at which two faces match, in [0, 2].
        model: name of the model.
        model_id: its id; embeddings of different ids are never compared.
        fmr: the false match rate that the threshold was calibrated for: of a verification, or of
            each comparison of a search; None where it was set by hand.
        dataset: what it was calibrated on; empty where it was set by hand.
        fpir: of a search, the largest share of people not in the gallery who are taken for one
            who is; None where the threshold was set by hand, and of a verification.
        comparisons: how many templates a search compares with.
    """

    threshold: float
    model: str
    model_id: str
    fmr: float | None = None
    dataset: str = ""
    fpir: float | None = None
    comparisons: int = 1

    @property
    def origin(self) -> str:
        """Where the threshold comes from, in few words."""
        return "given by --threshold" if self.fmr is None else f"calibrated for FMR {self.fmr:g}"
