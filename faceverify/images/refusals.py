"""Errors of unusable photos."""

from __future__ import annotations

from PIL import Image

from faceverify.errors import ImageError
from faceverify.images.object_store import SCHEMES
from faceverify.runtime.addresses import nearest_scheme
from faceverify.runtime.file_kinds import TEXT, kind_of_file, tiff_tags

COPY_AGAIN = "copy or download it again"


def not_an_image_error(name: str, data: bytes) -> ImageError:
    """The error of bytes that Pillow cannot open: says what they are, as far as is known."""
    kind = kind_of_file(data)
    if kind is None:
        found = f'{name}: not an image (starts with "{start_of(data)}")'
        return ImageError(found, code="image-not-an-image")
    if kind.reader in Image.OPEN:
        if kind.reader == "TIFF" and tiff_tags(data):
            found = f"{name}: a TIFF whose pixels are of a kind that is not read"
            return ImageError(found, cure="save them as 8 or 16 bits", code="image-format")
        found = f"{name}: begins as {kind.name}, but its header is cut short or damaged"
        return ImageError(found, cure=COPY_AGAIN, code="image-truncated")
    if kind.picture:
        found = f"{name}: {kind.name}, which is not read here"
        return ImageError(found, cure=kind.cure, code="image-format")
    if kind is TEXT:
        found = f'{name}: text, not an image (starts with "{start_of(data)}")'
        return ImageError(found, code="image-not-an-image")
    return ImageError(
        f"{name}: {kind.name}, not an image", cure=kind.cure, code="image-not-an-image"
    )


def start_of(data: bytes) -> str:
    """First bytes, for a message."""
    return repr(data[:16])[2:-1]


def too_large_error(name: str, found: str) -> ImageError:
    """The error of a photo with too many bytes or pixels."""
    cure = "scale it down first, or raise FACEVERIFY_MAX_PIXELS"
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
