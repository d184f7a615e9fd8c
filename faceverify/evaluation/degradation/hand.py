"""Hands before the face, drawn: a palm and four fingers, in a random tone of skin."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from faceverify.evaluation.degradation.face_frame import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    FaceFrame,
    Pixels,
)

FINGERS = (-0.62, -0.22, 0.18, 0.58)  # across the palm, in its half widths
LENGTHS = (0.95, 1.15, 1.2, 1.0)  # in its half heights
SKIN = (205, 160, 135)
TONES = (0.35, 1.1)  # darkest and lightest hand, times SKIN


def hand(photo: Pixels, frame: FaceFrame, strength: float, draws: np.random.Generator) -> Pixels:
    """A hand over a random part of the face, from a random side.

    Args:
        photo: RGB, (H, W, 3).
        frame: of its face.
        strength: side of the hand, as a share of the face's, 0 to 1 and above.
        draws: of tone, place and direction.
    """
    tone = draws.uniform(*TONES)
    colour = tuple(min(255, round(level * tone)) for level in SKIN)
    shade = tuple(round(0.8 * level) for level in colour)
    angle = draws.uniform(0, 2 * math.pi)
    width, height = strength * (RIGHT - LEFT) / 2, strength * (BOTTOM - TOP) / 2
    free = max(1 - strength, 0.0) / 2
    middle = np.array([(LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2])
    middle += draws.uniform(-free, free, 2) * (RIGHT - LEFT, BOTTOM - TOP)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])

    def placed(outline: np.ndarray) -> list[tuple[float, float]]:
        """Points in half widths and heights of the hand, in pixels of the photo."""
        return frame.place((outline * (width, height)) @ turn.T + middle)

    image = Image.fromarray(photo)
    draw = ImageDraw.Draw(image)
    round_about = np.linspace(0, 2 * math.pi, 24, endpoint=False)
    palm = np.stack([0.85 * np.cos(round_about), 0.45 + 0.55 * np.sin(round_about)], axis=1)
    draw.polygon(placed(palm), fill=colour)
    for across, length in zip(FINGERS, LENGTHS, strict=True):
        left, right, tip = across - 0.19, across + 0.19, 0.4 - length * 1.2
        finger = np.array(
            [(left, 0.5), (left, tip), (across, tip - 0.12), (right, tip), (right, 0.5)]
        )
        draw.polygon(placed(finger), fill=colour, outline=shade)
    return np.asarray(image)
