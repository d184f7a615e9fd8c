"""The operating point of a model: its threshold, and the error rate that it was set for."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_FMR = 1e-3
"""The default false match rate of a verification."""


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold of one model, and the error rates that it was calibrated for.

    Attributes:
        threshold: the largest cosine distance at which two faces match, in [0, 2].
        model: name of the model.
        model_id: its id; embeddings of different ids are never compared.
        fmr: false match rate of one comparison; None where the threshold was set by hand.
        dataset: the calibration data; empty where the threshold was set by hand.
        fpir: false positive identification rate of a search (1:N); None for a verification, and
            where the threshold was set by hand.
        comparisons: number of templates that one search compares with.
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
        """Source of the threshold, as text."""
        return "given by --threshold" if self.fmr is None else f"calibrated for FMR {self.fmr:g}"
