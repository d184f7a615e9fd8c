"""Small sets of faces for the tests, in each format."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (24, 20)) -> Image.Image:
    """A smooth coloured picture of its own, (width, height) = size."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """An image's file."""
    stream = io.BytesIO()
    image.save(stream, kind, **({"quality": 95} if kind == "JPEG" else {}) | options)
    return stream.getvalue()


def people_folder(root: Path, counts: dict[str, int], size: tuple[int, int] = (24, 20)) -> Path:
    """A folder of people with so many different photos each."""
    seed = 0
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number:04d}.jpg").write_bytes(encoded(picture(seed, size)))
            seed += 1
    return root
