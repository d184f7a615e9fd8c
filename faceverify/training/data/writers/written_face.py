"""Input of the writers, and checks of file names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from faceverify.training.data.sets.errors import data_error

STARTS = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"BM": ".bmp"}


@dataclass(frozen=True)
class WrittenFace:
    """Image to write.

    Args:
        identity: name of the person.
        image: encoded.
        stem: file name without extension; empty for the next number.
        values: attributes by name.
    """

    identity: str
    image: bytes
    stem: str = ""
    values: Mapping[str, float] = field(default_factory=dict)


def extension(image: bytes) -> str:
    """File extension by the content of an image; ``.img`` for an unknown format."""
    for start, known in STARTS.items():
        if image.startswith(start):
            return known
    return ".webp" if image[:4] == b"RIFF" and image[8:12] == b"WEBP" else ".img"


def checked_name(name: str) -> str:
    """Check that a name, possibly from an untrusted file, is valid as a folder name.

    Raises:
        TrainingError: it is empty, hidden, or leads outside the folder.
    """
    separators = {os.sep, os.altsep or os.sep, "/", "\\"}
    if not name or name.startswith(".") or separators & set(name) or "\0" in name:
        raise data_error(
            f"a person is called {name[:80]!r}, which cannot be a folder",
            "rename them in identities.txt",
        )
    return name
