"""Photos as small pictures inside the page."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import TYPE_CHECKING

from faceverify.errors import ImageError
from faceverify.images.photo import open_photo

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 132  # pixels of the longer side
QUALITY = 82


def thumbnail(photo: Path | bytes) -> str | None:
    """A ``data:`` URI of the photo as a small JPEG; None for one that cannot be read."""
    try:
        image = open_photo(photo).decode(short_side=SIDE)
    except ImageError:
        return None
    image.thumbnail((SIDE, SIDE))
    stream = BytesIO()
    image.save(stream, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{b64encode(stream.getvalue()).decode()}"
