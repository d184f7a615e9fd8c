"""What a writer of any format is given, and names that can be files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from faceverify.training.data.sets.errors import data_error

STARTS = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"BM": ".bmp"}


@dataclass(frozen=True)
class WrittenFace:
    """An image on its way into another format.

    Args:
        identity: name of the person.
        image: encoded.
        stem: name of its file without the extension; empty for the next number.
        values: further values of it, by name.
    """

    identity: str
    image: bytes
    stem: str = ""
    values: Mapping[str, float] = field(default_factory=dict)


def extension(image: bytes) -> str:
    """The extension of an image's file, by its content; ``.img`` for one that is not known."""
    for start, known in STARTS.items():
        if image.startswith(start):
            return known
    return ".webp" if image[:4] == b"RIFF" and image[8:12] == b"WEBP" else ".img"


def checked_name(name: str) -> str:
    """A name that can be that of a folder; it may come out of a file that nobody has checked.

    Raises:
        TrainingError: it is empty, hidden, or would lead elsewhere.
    """
    separators = {os.sep, os.altsep or os.sep, "/", "\\"}
    if not name or name.startswith(".") or separators & set(name) or "\0" in name:
        raise data_error(
            f"a person is called {name[:80]!r}, which cannot be a folder",
            "rename them in identities.txt",
        )
    return name
