"""The free photographs in tests/faces: their paths, wherever the tests run from."""

from pathlib import Path

FACES = Path(__file__).parent / "faces"
OBAMA, OBAMA2, OBAMA3, BIDEN = (
    str(FACES / f"{name}.jpg") for name in ("obama", "obama2", "obama3", "biden")
)
