"""What several tests share."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of face databases beside the project, which is no part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the face databases in {SHARED_DATA}")
    return SHARED_DATA
