"""What several tests share."""

from pathlib import Path

import pytest
from hypothesis import settings
from PIL import Image

from faceverify.faces.detection import Detector
from faceverify.models.registry import bundled_folder

# the same examples every time: a test that fails should fail for whoever runs it
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of face databases beside the project, which is no part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the face databases in {SHARED_DATA}")
    return SHARED_DATA


FACES = Path(__file__).parent / "faces"


@pytest.fixture(scope="session")
def photos() -> dict[str, Image.Image]:
    """The free photos, by name, as RGB images."""
    return {path.stem: Image.open(path).convert("RGB") for path in sorted(FACES.glob("*.jpg"))}


@pytest.fixture(scope="session")
def detector() -> Detector:
    """The bundled detector."""
    return Detector(bundled_folder())
