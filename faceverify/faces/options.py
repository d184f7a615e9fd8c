"""Options of face detection, selection and cropping; light, as argument parsing imports them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from faceverify.choices import MIN_FACE, FaceChoice
from faceverify.errors import UsageError

SMALLEST_FACE = 10
"""Side of the smallest face that the detector finds, in pixels."""

LEAST_QUALITY = 0.15
"""Least quality of a face about which a decision is made, unless another is given."""

LEAST_ENROLLED = 0.5
"""Least quality of a face that is enrolled, unless another is given: it will be compared often."""

MOST_CROPS = 100
"""Largest number of crops of a face that may be averaged."""


@dataclass(frozen=True, kw_only=True)
class FaceOptions:
    """Options of face detection, selection and cropping.

    >>> FaceOptions(face="largest").face
    <FaceChoice.LARGEST: 'largest'>

    Raises:
        UsageError: a value out of its range.
    """

    face: FaceChoice = FaceChoice.PROMINENT
    """The face to select where a photo shows several; its name is accepted."""

    min_face: float = MIN_FACE
    """Side of the smallest face that is detected, in pixels."""

    min_quality: float = 0.0
    """Least quality of a face, in [0, 1]."""

    aligned: str | None = None
    """Alignment ("arcface-112", ...) of photos that are crops already; nothing is detected."""

    augment: int = 1
    """Number of slightly different crops averaged for each face; 1 is the aligned crop alone."""

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "face", FaceChoice(self.face))
        except ValueError:
            known = ", ".join(choice.value for choice in FaceChoice)
            raise UsageError(f"--face {self.face!r}: expected one of {known}") from None
        if not SMALLEST_FACE <= self.min_face < math.inf:
            raise UsageError(
                f"--min-face {self.min_face:g}: expected {SMALLEST_FACE:g} pixels or more"
            )
        if not 0 <= self.min_quality <= 1:
            raise UsageError(f"--min-quality {self.min_quality:g}: expected 0 to 1")
        if not 1 <= self.augment <= MOST_CROPS:
            raise UsageError(f"--augment {self.augment}: expected 1 to {MOST_CROPS} crops")
        if self.aligned is not None:
            from faceverify.faces.alignment import reference_points  # not light

            reference_points(self.aligned)

    def require_one_face(self) -> None:
        """Check that one face of a photo is selected.

        Raises:
            UsageError: all faces are.
        """
        if self.face is FaceChoice.ALL:
            raise UsageError("all faces of a photo cannot be one side of a comparison")
