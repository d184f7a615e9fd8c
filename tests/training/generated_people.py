"""People that never were: small pictures, alike for one person, on which a run takes a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faceverify.training.config.checked import config_from_dict
from faceverify.training.config.files import overridden
from faceverify.training.config.schema import Config

TINY: dict[str, Any] = {
    "data": {"size": 32, "workers": 0, "cache": "none"},
    "backbone": {"name": "resnet18", "stem": "original", "width": 4, "embedding_size": 16},
    "loss": {"name": "arcface", "scale": 16.0, "margin": 0.2},
    "batches": {"size": 16},
    "optimiser": {"learning_rate": 0.05},
    "validation": {"times": 0},
    "compute": {"precision": "float32", "device": "cpu", "threads": 1},
    "log": {"steps": 1},
    "budget": {"steps": 6},
}


def write_people(folder: Path, *, people: int = 6, images: int = 8, size: int = 32) -> Path:
    """Write PERSON/NUMBER.png; each person is a smooth pattern under noise of its own."""
    rng = np.random.default_rng(0)
    for person in range(people):
        place = folder / f"person{person:02d}"
        place.mkdir(parents=True)
        coarse = rng.integers(0, 256, (4, 4, 3), np.uint8)
        face = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        for number in range(images):
            noise = rng.normal(0, 25, (size, size, 3))
            pixels = np.clip(np.asarray(face) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


def tiny_config(source: Path, **changes: Any) -> Config:
    """A run of a second, changed as wanted."""
    return config_from_dict(
        overridden(overridden(TINY, {"data": {"source": str(source)}}), changes)
    )
