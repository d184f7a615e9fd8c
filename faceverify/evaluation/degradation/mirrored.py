"""Photos mirrored, as front cameras save them."""

from __future__ import annotations

import numpy as np

from faceverify.evaluation.degradation.face_frame import FaceFrame, Pixels


def mirrored(photo: Pixels, _: FaceFrame, strength: float, draws: np.random.Generator) -> Pixels:
    """The photo with left and right exchanged, (H, W, 3)."""
    return np.ascontiguousarray(photo[:, ::-1])
