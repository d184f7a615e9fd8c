"""Image decoding: encoded bytes to RGB pixels, by Pillow.

Photos are untrusted input: formats that run programs are refused, every failure of a decoder
becomes an ImageError, and its warnings are silenced.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from textwrap import shorten
from typing import Any, cast

from PIL import ExifTags, Image, UnidentifiedImageError

from faceverify.errors import FaceverifyError, ImageError
from faceverify.images.jpeg_stream import WatchedJpeg
from faceverify.images.pixel_modes import UnusualPixelsError
from faceverify.images.png_chunks import SIGNATURE, readable_png
from faceverify.images.refusals import COPY_AGAIN, not_an_image_error, too_large_error
from faceverify.runtime.file_kinds import DEVELOP, HEIF, kind_of_file

TURNS = {  # EXIF orientation -> the transposition that makes the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_EVERYDAY = ("JPEG", "PNG", "GIF", "BMP", "PPM")  # known to Pillow before it imports all plugins


LARGE = (
    "JPEG",
    "PNG",
    "TIFF",
    "WEBP",
)  # formats of which photos are opened that are larger than Pillow allows


_REFUSED = (
    "EPS", "WMF",  # programs, not pixels: Ghostscript or the system would run them
    "BUFR", "GRIB", "HDF5", "MPEG",  # known by name only: no pixels come of them
)  # fmt: skip


def identify_image(data: bytes) -> Image.Image:
    """An image opened by its content; of listed formats: Pillow's search is not thread-safe.

    Raises:
        UnidentifiedImageError: it is none, or in a format that is not read.
    """
    if data.startswith(SIGNATURE):
        data = readable_png(data)
    try:
        is_jpeg = data.startswith(b"\xff\xd8")
        return open_stream(WatchedJpeg(data) if is_jpeg else BytesIO(data), _EVERYDAY)
    except UnidentifiedImageError:
        kind = kind_of_file(data)
        if kind is HEIF:
            return open_heif(data)
        if kind is not None and (not kind.picture or kind.cure == DEVELOP):
            raise  # some of Pillow's readers take the thumbnail of a raw photo for the photo
        Image.init()
        return open_stream(BytesIO(data), [f for f in Image.OPEN if f not in _REFUSED])


def open_stream(stream: BytesIO, formats: list[str] | tuple[str, ...]) -> Image.Image:
    """An image of one of some formats, of any size; what is too large is for the caller to say.

    Pillow's own limit is one for all of a process. Beyond it, the class of the format is called as
    ``Image.open`` calls it.
    """
    try:
        return Image.open(stream, formats=formats)
    except Image.DecompressionBombError:
        for name in set(LARGE) & set(formats):
            stream.seek(0)
            make, accept = Image.OPEN[name]
            if accept is not None and accept(stream.read(16)):
                stream.seek(0)
                return cast("Image.Image", make(stream, ""))
        raise


def load_pixels(image: Image.Image) -> None:
    """Decode an image.

    Raises:
        DamagedJpegError: it is a JPEG that is damaged inside.
    """
    stream = getattr(image, "fp", None)
    if isinstance(stream, WatchedJpeg):
        stream.watch(image)
    image.load()
    if isinstance(stream, WatchedJpeg):
        stream.finish()


def open_heif(data: bytes) -> Image.Image:
    """A HEIF image, opened by pillow-heif, an extra; UnidentifiedImageError where that is missing.

    Its class is called without registering it: that would change Pillow's lists for all threads.
    """
    try:
        from pillow_heif import HeifImageFile
    except ImportError as problem:
        raise UnidentifiedImageError from problem
    opened: Any = HeifImageFile  # it has no types
    image: Image.Image = opened(BytesIO(data))
    return image


def exif_orientation(image: Image.Image, data: bytes = b"") -> int:
    """EXIF orientation, 1 to 8; 1 where it is missing or unreadable."""
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
    """The image in its EXIF orientation, its EXIF removed."""
    if turn is not None:
        image = image.transpose(turn)
    image.info.clear()  # kept, the EXIF would turn the image again when it is saved and reopened
    return image


CUT_SHORT = ("truncated", "only got", "end of file", "insufficient input data")  # of decoders


@contextmanager
def pillow_errors(name: str, data: bytes = b"") -> Iterator[None]:
    """Context that turns every exception of Pillow into an ImageError and silences its warnings.

    On damaged bytes its decoders raise OSError, SyntaxError, struct.error, zlib.error,
    OverflowError, RecursionError and others.
    """
    filters = cast("list[Any]", warnings.filters)
    if filters[:1] != [_HUSH]:
        filters.insert(0, _HUSH)
    _thread.inside_pillow = True
    try:
        yield
    except FaceverifyError:
        raise
    except UnusualPixelsError as problem:
        cure = "save it with 8 bits a colour, scaled from black to white"
        raise ImageError(f"{name}: {problem}", cure=cure, code="image-format") from problem
    except UnidentifiedImageError as problem:
        raise not_an_image_error(name, data) from problem
    except (Image.DecompressionBombError, MemoryError) as problem:
        raise too_large_error(name, str(problem) or "more than memory holds") from problem
    except Exception as problem:
        kind = kind_of_file(data)
        if kind is not None and not kind.picture:
            raise not_an_image_error(name, data) from problem
        found = shorten(str(problem), 100) or type(problem).__name__
        if isinstance(problem, EOFError) or any(word in found.lower() for word in CUT_SHORT):
            message, code = f"{name}: cut short ({found})", "image-truncated"
        else:
            message, code = f"{name}: damaged ({found})", "image-unreadable"
        raise ImageError(message, cure=COPY_AGAIN, code=code) from problem
    finally:
        _thread.inside_pillow = False


class _InsidePillow:
    """The message pattern of a warnings filter: matches any text in a thread that runs Pillow.

    ``warnings.catch_warnings`` would change the filters of all threads, and restore them at the
    wrong moment; this filter stays installed and applies to the code of this file alone.
    """

    pattern = "(?!)"  # scikit-learn copies filters by their text: this one matches nothing

    def match(self, _text: str) -> bool:
        return getattr(_thread, "inside_pillow", False)


_thread = threading.local()


_HUSH = ("ignore", _InsidePillow(), Warning, None, 0)
