"""Detected faces drawn onto a photo: boxes, points and scores."""

from __future__ import annotations

from collections.abc import Iterable

from PIL import Image, ImageDraw, ImageFont

from faceverify.faces.detection import Face

BOX, POINT, INK = "#00c853", "#ff1744", "#ffffff"


def drawn(image: Image.Image, faces: Iterable[Face]) -> Image.Image:
    """A copy of a photo with its faces marked.

    Args:
        image: RGB.
        faces: to mark, in pixels of the image.
    """
    copy = image.copy()
    canvas = ImageDraw.Draw(copy)
    for face in faces:
        line = max(1, round(face.size / 60))
        canvas.rectangle(face.box, outline=BOX, width=line)
        for x, y in face.points.tolist():
            dot = 1.2 * line
            canvas.ellipse((x - dot, y - dot, x + dot, y + dot), fill=POINT)
        left, top, *_ = face.box
        height = max(10, round(face.size / 10))
        font = ImageFont.load_default(height)
        place = (max(left, 0), max(top - 1.3 * height, 0))  # above the box, but in the photo
        text = f"{face.score:.3f}"
        canvas.rectangle(canvas.textbbox(place, text, font), fill=BOX)
        canvas.text(place, text, INK, font)
    return copy
