"""How a photo's face is found, chosen and cut out, as a user sets it. Light: parsing loads it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from faceverify.choices import MIN_FACE, FaceChoice
from faceverify.errors import UsageError

SMALLEST_FACE = 12
"""Side of the smallest face that the detector can see, in pixels: its first net's window."""

MOST_CROPS = 100
"""Crops of a face that may be averaged."""


@dataclass(frozen=True, kw_only=True)
class FaceOptions:
    """How the face of a photo is found, chosen and cut out.

    >>> FaceOptions(face="largest").face
    <FaceChoice.LARGEST: 'largest'>

    Raises:
        UsageError: a value that makes no sense.
    """

    face: FaceChoice = FaceChoice.PROMINENT
    """Which face, when a photo shows several; its name will do."""

    min_face: float = MIN_FACE
    """Side of the smallest face looked for, in pixels."""

    min_quality: float = 0.0
    """Least quality of a face, in [0, 1]."""

    aligned: str | None = None
    """The alignment that photos are crops of already ("arcface-112", ...): nothing is detected."""

    augment: int = 1
    """How many slightly different crops of each face are averaged; 1 is the aligned crop alone."""

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
            from faceverify.faces.alignment import known_crop  # not light

            known_crop(self.aligned)

    def require_one_face(self) -> None:
        """Make sure that a photo gives one face.

        Raises:
            UsageError: all faces are meant.
        """
        if self.face is FaceChoice.ALL:
            raise UsageError("all faces of a photo cannot be one side of a comparison")
