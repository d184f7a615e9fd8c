"""Why something is not a usable photo: one error for each reason."""

from __future__ import annotations

from faceverify.errors import ImageError

_STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"RIFF": "WebP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
}


COPY_AGAIN = "copy or download it again"


def not_an_image_error(name: str, data: bytes) -> ImageError:
    """The error about bytes that no decoder knows, or whose header is damaged."""
    for start, kind in _STARTS.items():
        if data.startswith(start):
            found = f"{name}: begins as a {kind}, but its header is cut short or damaged"
            return ImageError(found, cure=COPY_AGAIN, code="image-truncated")
    cure = "convert it to JPEG or PNG" if data[4:8] == b"ftyp" else ""  # HEIC, from a telephone
    start_shown = repr(data[:16])[2:-1]
    found = f'{name}: not an image (starts with "{start_shown}")'
    return ImageError(found, cure=cure, code="image-not-an-image")


def too_large_error(name: str, found: str) -> ImageError:
    """The error about a photo with too many bytes or pixels."""
    cure = "scale it down first"
    return ImageError(f"{name}: too large ({found})", cure=cure, code="image-too-large")
