"""Errors of unusable photos."""

from __future__ import annotations

from faceverify.errors import ImageError
from faceverify.images.object_store import SCHEMES
from faceverify.runtime.addresses import nearest_scheme

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
    """The error of bytes in an unknown format, or with a damaged header."""
    for start, kind in _STARTS.items():
        if data.startswith(start):
            found = f"{name}: begins as a {kind}, but its header is cut short or damaged"
            return ImageError(found, cure=COPY_AGAIN, code="image-truncated")
    cure = "convert it to JPEG or PNG" if data[4:8] == b"ftyp" else ""  # HEIC, from a telephone
    start_shown = repr(data[:16])[2:-1]
    found = f'{name}: not an image (starts with "{start_shown}")'
    return ImageError(found, cure=cure, code="image-not-an-image")


def too_large_error(name: str, found: str) -> ImageError:
    """The error of a photo with too many bytes or pixels."""
    cure = "scale it down first"
    return ImageError(f"{name}: too large ({found})", cure=cure, code="image-too-large")


def no_photo_there_error(name: str, scheme: str) -> ImageError:
    """The error of a photo at a URL that is not read from.

    Args:
        name: the URL, which no file has for its name.
        scheme: of the URL.
    """
    near = nearest_scheme(scheme, SCHEMES)
    if scheme.lower() in ("http", "https", "ftp", "ftps", "sftp"):
        cure = "download it first, as with curl -LO URL"
    elif scheme.lower() == "data":
        cure = "decode it into a file, or pipe it to standard input, -"
    elif near:
        cure = f"did you mean {near}://...?"
    else:
        cure = f"give a path, or a URL of {', '.join(f'{one}://' for one in SCHEMES)}"
    found = f"{name[:200]}: a URL, and no photos are read from {scheme}:"
    return ImageError(found, cure=cure, code="image-missing")
