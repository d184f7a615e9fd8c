"""Degradations of photos: kinds and strengths, from mild to hopeless.

Each is a pure function of a photo, the frame of its face, a strength and random draws. Lengths are
in pixels of the face's aligned crop, 112 x 112. To add one: a file with the function, a line here,
and a test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from faceverify.errors import UsageError
from faceverify.evaluation.degradation import cast, light
from faceverify.evaluation.degradation.bar import bar
from faceverify.evaluation.degradation.blocks import blocks
from faceverify.evaluation.degradation.blur import blur
from faceverify.evaluation.degradation.compression import compression
from faceverify.evaluation.degradation.dark import dark
from faceverify.evaluation.degradation.enlarged import enlarged
from faceverify.evaluation.degradation.face_frame import FaceFrame, Pixels
from faceverify.evaluation.degradation.hand import hand
from faceverify.evaluation.degradation.mask import mask
from faceverify.evaluation.degradation.mirrored import mirrored
from faceverify.evaluation.degradation.motion import motion
from faceverify.evaluation.degradation.noise import noise
from faceverify.evaluation.degradation.turned import turned

DEGRADATION_VERSION = 1
"""Raised by one with every change by which a degraded photo may look different."""


@dataclass(frozen=True)
class Degradation:
    """A kind of degradation.

    Args:
        apply: photo, frame of its face, strength and random draws to the degraded photo.
        strengths: from mild to hopeless.
        unit: what a strength measures.
    """

    apply: Callable[[Pixels, FaceFrame, float, np.random.Generator], Pixels]
    strengths: tuple[float, ...]
    unit: str


DEGRADATIONS: dict[str, Degradation] = {
    "blocks": Degradation(blocks, (2, 4, 6, 8, 10, 12, 16), "side of a block"),
    "blur": Degradation(blur, (1, 2, 4, 6, 10), "standard deviation"),
    "motion": Degradation(motion, (5, 10, 20, 30, 45), "length"),
    "noise": Degradation(noise, (10, 25, 50, 90, 140), "standard deviation in grey levels"),
    "dark": Degradation(dark, (4, 10, 20, 40, 80), "the light divided by"),
    "jpeg": Degradation(compression, (71, 86, 93, 97, 100), "101 less the quality"),
    "enlarged": Degradation(enlarged, (2, 4, 6, 8, 12, 16), "pixels made of one"),
    "mask": Degradation(mask, (0.25, 0.4, 0.55, 0.7, 0.85), "share covered, from the chin"),
    "bar": Degradation(bar, (0.15, 0.3, 0.5, 0.7, 0.9), "share covered, about the eyes"),
    "hand": Degradation(hand, (0.3, 0.5, 0.7, 0.9, 1.2), "side of a hand, of the face's"),
    "turned": Degradation(turned, (15, 30, 45, 90, 180, 270), "degrees"),
    "mirrored": Degradation(mirrored, (1,), "once"),
    "side-light": Degradation(light.from_the_side, (2, 4, 8, 16), "near over far"),
    "top-light": Degradation(light.from_above, (2, 4, 8, 16), "near over far"),
    "under-light": Degradation(light.from_below, (2, 4, 8, 16), "near over far"),
    "warm": Degradation(cast.warm, (2, 4, 8), "red over blue"),
    "cold": Degradation(cast.cold, (2, 4, 8), "blue over red"),
}


def degradation(kind: str) -> Degradation:
    """The degradation of a name.

    Raises:
        UsageError: an unknown name.
    """
    if kind not in DEGRADATIONS:
        raise UsageError(f"no degradation {kind!r}", cure=f"known: {', '.join(DEGRADATIONS)}")
    return DEGRADATIONS[kind]


def degrade(kind: str, strength: float, photo: Pixels, points: ArrayLike, *, key: bytes) -> Pixels:
    """A degraded photo.

    Args:
        kind: one of ``DEGRADATIONS``.
        strength: in its unit.
        photo: RGB, (H, W, 3).
        points: five points of its face, (5, 2), in pixels.
        key: of the random draws, such as a hash of the photo; they depend on it and the kind alone,
            so that no result depends on the order of photos.

    Raises:
        UsageError: an unknown kind.
    """
    seed = hashlib.sha256(kind.encode() + b"\n" + key).digest()
    draws = np.random.Generator(np.random.PCG64(int.from_bytes(seed, "big")))
    return degradation(kind).apply(photo, FaceFrame.of(points), strength, draws)
