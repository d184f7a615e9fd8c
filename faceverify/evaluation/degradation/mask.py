"""Face masks, drawn: cloth from the chin upwards, in a random plain colour, with its folds."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from faceverify.evaluation.degradation.face_frame import BOTTOM, TOP, FaceFrame, Pixels

COLOURS = ((225, 232, 240), (150, 195, 225), (35, 35, 40), (60, 75, 110), (200, 190, 175))
EDGE = np.array([(4, 0), (30, -3), (56, -7), (82, -3), (108, 0)], float)  # dips beside the nose
SIDES = np.array([(105, 25), (92, 48), (56, 62), (20, 48), (7, 25)], float)  # below y = 66


def mask(photo: Pixels, frame: FaceFrame, strength: float, draws: np.random.Generator) -> Pixels:
    """A mask over the lower part of the face.

    Args:
        photo: RGB, (H, W, 3).
        frame: of its face.
        strength: share of the face's height that is covered, 0 to 1.
        draws: of the colour.
    """
    top = BOTTOM - strength * (BOTTOM - TOP)
    colour = COLOURS[draws.integers(len(COLOURS))]
    fold = tuple(round(0.85 * level) for level in colour)
    lower = SIDES + np.array([0, 66])
    outline = np.concatenate([EDGE + np.array([0, top]), lower[lower[:, 1] > top]])
    image = Image.fromarray(photo)
    draw = ImageDraw.Draw(image)
    draw.polygon(frame.place(outline), fill=colour)
    for height in (0.35, 0.55, 0.75):
        y = top + height * (BOTTOM - top)
        draw.line(frame.place([(20, y), (92, y)]), fill=fold, width=frame.pixels(1.5))
    return np.asarray(image)
