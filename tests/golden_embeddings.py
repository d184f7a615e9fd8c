"""Embeddings of the bundled photos, as they were made when EMBEDDING_VERSION was last raised.

To store those of now: ``python tests/golden_embeddings.py``.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from faceverify.choices import FaceChoice
from faceverify.embeddings.compute import EMBEDDING_VERSION
from faceverify.embeddings.extractor import TemplateExtractor
from faceverify.faces.options import FaceOptions
from faceverify.models.registry import bundled_folder

STORED = Path(__file__).with_suffix(".npz")
FACES = Path(__file__).parent / "faces"
MODEL = str(bundled_folder() / "dlib-resnet29.onnx")

CLOSE = {  # left, top, right, bottom of the faces, in pixels
    "biden": (428, 159, 719, 568),
    "obama": (367, 83, 611, 423),
    "obama2": (190, 217, 473, 651),
    "obama3": (631, 244, 921, 617),
}

# a way that a photo can take, and the options that it is taken with
WAYS = {
    "large": FaceOptions(),  # chosen and found at a glance
    "far": FaceOptions(),  # chosen at a glance, then found again, more finely
    "small": FaceOptions(),
    "close": FaceOptions(),  # the face fills the frame
    "bystander": FaceOptions(),
    "largest": FaceOptions(face=FaceChoice.LARGEST),
    "only": FaceOptions(face=FaceChoice.ONLY),  # all of the photo is searched
    "averaged": FaceOptions(augment=3),
    "aligned": FaceOptions(aligned="arcface-112"),  # no detector has a say in it
}


def photos() -> dict[tuple[str, str], bytes]:
    """Encoded photos by way and name."""
    faces = {path.stem: Image.open(path).convert("RGB") for path in sorted(FACES.glob("*.jpg"))}
    found = {}
    for name, image in faces.items():
        small = image.copy()
        small.thumbnail((400, 400))
        found["small", name] = found["only", name] = found["averaged", name] = encoded(small, "PNG")
        found["large", name] = encoded(image.resize((2 * image.width, 2 * image.height)), "JPEG")
        far = Image.new("RGB", (2400, 2400), "grey")
        far.paste(image, (500, 50))
        found["far", name] = encoded(far, "JPEG")
        found["aligned", name] = encoded(image.resize((112, 112)), "PNG")
        found["close", name] = encoded(close_up(image, CLOSE[name]), "PNG")
        other = "biden" if name != "biden" else "obama"
        both = Image.new("RGB", (1200, 600), "grey")
        both.paste(portrait(image, CLOSE[name], 300), (450, 150))
        both.paste(portrait(faces[other], CLOSE[other], 360), (840, 0))  # larger, at the side
        found["bystander", name] = found["largest", name] = encoded(both, "PNG")
    return found


def embeddings() -> dict[str, np.ndarray]:
    """Embeddings of now by way and name, (D,)."""
    taken = photos()
    found = {}
    for way, options in WAYS.items():
        extractor = TemplateExtractor.load(MODEL, options)
        for name in CLOSE:
            (template,) = extractor.extract(taken[way, name])
            found[f"{way}/{name}"] = template.embedding
    return found


def portrait(image: Image.Image, box: tuple[int, int, int, int], side: int) -> Image.Image:
    """A square, of which a face has half the height."""
    left, top, right, bottom = box
    reach, x, y = bottom - top, (left + right) // 2, (top + bottom) // 2
    return image.crop((x - reach, y - reach, x + reach, y + reach)).resize((side, side))


def close_up(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """The middle of a face: its box reaches beyond all sides."""
    left, top, right, bottom = box
    inset = round(0.1 * (right - left))
    return image.crop((left + inset, top + inset, right - inset, bottom - inset))


def encoded(image: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, quality=90)
    return stream.getvalue()


if __name__ == "__main__":
    np.savez(STORED, version=EMBEDDING_VERSION, **embeddings())
    print(f"{STORED}: version {EMBEDDING_VERSION}")
