"""Encoded bytes -> pixels: Pillow's decoders, behind one error.

Photos come from strangers: formats that run programs are refused, every failure of a decoder
becomes an ImageError, and its warnings stay quiet.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from textwrap import shorten
from typing import TYPE_CHECKING, Any, cast

from PIL import ExifTags, Image, UnidentifiedImageError

from faceverify.errors import ImageError
from faceverify.images.refusals import COPY_AGAIN, not_an_image_error, too_large_error

if TYPE_CHECKING:
    pass


TURNS = {  # EXIF orientation -> what makes it upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_EVERYDAY = ("JPEG", "PNG", "GIF", "BMP", "PPM")  # known to Pillow before it imports all plugins


_REFUSED = ("EPS", "WMF")  # programs, not pixels: Ghostscript or the system would run them


def identify_image(data: bytes) -> Image.Image:
    """Find the format by content; from a list, for without one Pillow's search fails in threads."""
    try:
        return Image.open(BytesIO(data), formats=_EVERYDAY)
    except UnidentifiedImageError:
        Image.init()
        return Image.open(BytesIO(data), formats=[f for f in Image.OPEN if f not in _REFUSED])


def exif_orientation(image: Image.Image, data: bytes = b"") -> int:
    """EXIF orientation, 1 to 8; 1 where there is none, or none that can be read."""
    if image.format == "TIFF":  # Pillow turns these itself
        return 1
    try:
        # A PNG may carry EXIF behind its pixels; there Pillow looks only by decoding all of them.
        late = image.format != "PNG" or b"eXIf" in data
        exif = image.getexif() if late else Image.Image.getexif(image)
        found = exif.get(ExifTags.Base.Orientation, 1)
    except Exception:  # as bytes can be broken in any way; the pixels may be whole
        return 1
    return found if found in TURNS else 1


def turned_upright(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    """An image turned as its EXIF asks; without EXIF, so that it is never turned again."""
    if turn is not None:
        image = image.transpose(turn)
    image.info.clear()  # with its EXIF, whoever saves and reopens the image would turn it again
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode -> RGB. What is RGB already comes back as it is, not copied."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    if image.mode == "La":  # Pillow converts it to nothing else
        image = image.convert("LA")
    if image.has_transparency_data:
        # Onto white, as viewers show it. To drop the alpha would bring back what nobody sees: black
        # behind a cut-out face, or the very background that was cut away.
        image = image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image)
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale deep grey to 8 bits, where Pillow would clip all above 255 to white.

    White is 65535 in integers and 1.0 in floats; values outside that have a scale of their own, and
    their range is stretched over black to white.
    """
    import numpy as np

    values = np.asarray(image, dtype=np.float32)  # (H, W)
    black, white = float(values.min()), float(values.max())
    if not np.isfinite([black, white]).all():
        raise ValueError("pixels that are no numbers")
    usual = 1.0 if image.mode == "F" else 65535.0
    if black >= 0 and white <= usual:
        black, white = 0.0, usual
    scale = 255 / ((white - black) or 1)
    with np.errstate(all="ignore"):  # floats at the very ends of their range
        grey = np.clip(values * scale - (black * scale - 0.5), 0, 255).astype(np.uint8)
    return Image.fromarray(grey)


@contextmanager
def pillow_errors(name: str, data: bytes = b"") -> Iterator[None]:
    """Turn whatever Pillow raises in the block into one ImageError, and keep its warnings quiet.

    Its decoders meet bytes from anywhere and raise accordingly: OSError, SyntaxError, struct.error,
    zlib.error, OverflowError, RecursionError...
    """
    filters = cast("list[Any]", warnings.filters)
    if filters[:1] != [_HUSH]:
        filters.insert(0, _HUSH)
    _thread.inside_pillow = True
    try:
        yield
    except ImageError:
        raise
    except UnidentifiedImageError as problem:
        raise not_an_image_error(name, data) from problem
    except (Image.DecompressionBombError, MemoryError) as problem:
        raise too_large_error(name, str(problem) or "more than memory holds") from problem
    except Exception as problem:
        found = shorten(str(problem), 100) or type(problem).__name__
        if isinstance(problem, EOFError) or "truncated" in found.lower() or "only got" in found:
            message, code = f"{name}: cut short ({found})", "image-truncated"
        else:
            message, code = f"{name}: damaged ({found})", "image-unreadable"
        raise ImageError(message, cure=COPY_AGAIN, code=code) from problem
    finally:
        _thread.inside_pillow = False


class _InsidePillow:
    """The text of a warnings filter: it matches anything, in a thread that is inside Pillow.

    ``warnings.catch_warnings`` would change, and put back at the wrong moment, the filters of all
    threads; this one stays among them and concerns no warning but those of this file.
    """

    pattern = "(?!)"  # scikit-learn copies filters by their text: this one matches nothing

    def match(self, _text: str) -> bool:
        return getattr(_thread, "inside_pillow", False)


_thread = threading.local()


_HUSH = ("ignore", _InsidePillow(), Warning, None, 0)
