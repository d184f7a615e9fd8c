"""Photo -> upright RGB: whatever a user calls a photo, opened, checked and decoded.

Opening reads the bytes and the header, which is enough to refuse most of what is no photo; decoding
makes the pixels. Colour profiles are not applied: networks learn from pixels as they are stored.

>>> photo = open_photo(Image.new("L", (4, 3)))
>>> photo.width, photo.height, photo.decode().mode
(4, 3, 'RGB')
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from PIL import ExifTags, Image, UnidentifiedImageError

from faceverify.errors import ImageError
from faceverify.object_stores import is_url, read_object

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Source: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8] | Photo"

MAX_PIXELS = 89_478_485  # Pillow's own default: a quarter of a GiB at 3 bytes a pixel
MAX_BYTES = 1 << 30  # MAX_PIXELS as 16-bit RGBA take less; an endless pipe takes more

_TURNS = {  # EXIF orientation -> what makes it upright
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
_STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"RIFF": "WebP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
}
_AGAIN = "copy or download it again"


@dataclass(frozen=True, eq=False)
class Photo:
    """An opened photo: header read and checked, pixels not yet decoded.

    Holds bytes and no open file; any number of threads may decode it.
    """

    name: str
    """What the user called it: the beginning of every message about it."""
    width: int
    """Upright, in pixels."""
    height: int
    """Upright, in pixels."""
    _content: bytes | Image.Image = field(
        repr=False
    )  # encoded; or, of image and array, upright RGB
    _turn: Image.Transpose | None = field(default=None, repr=False)

    def decode(self, *, short_side: int | None = None) -> Image.Image:
        """Return the pixels: RGB, upright, a new image every time.

        Args:
            short_side: when given, a JPEG may come at 1/2, 1/4 or 1/8 of its size, about twice as
                fast, but never with a side under this many pixels. All else always comes whole.

        Raises:
            ImageError: what follows the header is cut short or damaged.
        """
        if isinstance(self._content, Image.Image):
            return self._content.copy()
        with _pillow(self.name, self._content):
            image = _identify(self._content)
            if short_side is not None:
                image.draft("RGB", (max(1, short_side), max(1, short_side)))
            image.load()
            return _upright(_rgb(image), self._turn)

    @property
    def sha256(self) -> str:
        """SHA-256 of the encoded bytes, in hexadecimal; worked out when asked for.

        Of an image or array, which came without encoded bytes: of its size and upright RGB pixels.
        """
        if isinstance(self._content, bytes):
            return hashlib.sha256(self._content).hexdigest()
        size = f"RGB {self.width} {self.height}\n".encode()
        return hashlib.sha256(size + self._content.tobytes()).hexdigest()


def open_photo(source: Source, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Open a photo and check its header.

    Args:
        source: a path (a pipe such as ``/dev/fd/63`` too), ``-`` for standard input, the URL of an
            object store (``object_stores.py``), encoded bytes, a Pillow image of any mode, a uint8
            array, (H, W, 3) RGB or (H, W) grey, or a photo that is open already.
        max_pixels: the largest width x height; more is refused by the header, before any memory is
            taken. Pillow's own limit, twice ``PIL.Image.MAX_IMAGE_PIXELS``, stays in force.

    Raises:
        ImageError: its docstring lists the codes. No content of any kind raises anything else.
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, bytes):
        return _from_bytes("<bytes>", source, max_pixels)
    if isinstance(source, Image.Image):
        return _from_image("<image>", source, max_pixels)
    if isinstance(source, (str, os.PathLike)):
        path = os.fsdecode(source)
        if is_url(path):
            return _from_bytes(path, _read_url(path), max_pixels)
        name = "standard input" if path == "-" else path
        return _from_bytes(name, _read(path, name), max_pixels)
    return _from_array("<array>", source, max_pixels)


# From each kind of source to a Photo


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


def _read(path: str, name: str) -> bytes:
    try:
        if path == "-":
            return _drain(sys.stdin.buffer, name)
        with open(path, "rb", buffering=0) as stream:
            return _drain(stream, name)
    except (OSError, ValueError, AttributeError) as problem:  # a NUL in the path; no standard input
        if isinstance(problem, OSError) and os.path.isdir(path):
            cure = "name a photo inside it"
            raise ImageError(
                f"{name}: a folder, not an image", cure=cure, code="image-not-an-image"
            ) from problem
        raise cannot_read(name, problem) from problem


def _read_url(url: str) -> bytes:
    data = read_object(url, MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise _too_large(url, f"more than {MAX_BYTES:,} bytes")
    return data


def _drain(stream: _Readable, name: str) -> bytes:
    """Read to the end, in steps: a pipe has no size, and perhaps no end."""
    parts, total = [], 0
    while part := stream.read(1 << 20):
        parts.append(part)
        total += len(part)
        if total > MAX_BYTES:
            raise _too_large(name, f"more than {MAX_BYTES:,} bytes")
    return b"".join(parts)


def _from_bytes(name: str, data: bytes, max_pixels: int) -> Photo:
    if not data:
        raise ImageError(f"{name}: empty (0 bytes)", cure=_AGAIN, code="image-empty")
    with _pillow(name, data):
        image = _identify(data)
        width, height = image.size
        _check_size(name, width, height, max_pixels)
        orientation = _orientation(image, data)
    if orientation >= 5:  # lies on its side
        width, height = height, width
    return Photo(name, width, height, data, _TURNS.get(orientation))


def _from_image(name: str, image: Image.Image, max_pixels: int) -> Photo:
    _check_size(name, *image.size, max_pixels)
    with _pillow(name):
        image.load()
        turn = _TURNS.get(_orientation(image))
        upright = _upright(_rgb(image.copy()), turn)  # a copy: the caller's may change later
    return Photo(name, *upright.size, upright)


def _from_array(name: str, array: NDArray[np.uint8], max_pixels: int) -> Photo:
    import numpy as np  # whoever has an array has paid for it

    if not isinstance(array, np.ndarray):
        raise TypeError(f"a photo is a path, bytes, an image or an array, not {type(array)}")
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)):
        raise ImageError(
            f"{name}: {array.dtype} of shape {array.shape}",
            cure="give uint8, (H, W, 3) RGB or (H, W) grey",
        )
    return _from_image(name, Image.fromarray(array), max_pixels)


def _check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    if not width * height:
        raise ImageError(f"{name}: no pixels ({width} x {height})", code="image-empty")
    if width * height > max_pixels:
        found = f"{width:,} x {height:,} pixels, where {max_pixels:,} in all are allowed"
        raise _too_large(name, found)


# From bytes to pixels


def _identify(data: bytes) -> Image.Image:
    """Find the format by content; from a list, for without one Pillow's search fails in threads."""
    try:
        return Image.open(BytesIO(data), formats=_EVERYDAY)
    except UnidentifiedImageError:
        Image.init()
        return Image.open(BytesIO(data), formats=[f for f in Image.OPEN if f not in _REFUSED])


def _orientation(image: Image.Image, data: bytes = b"") -> int:
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
    return found if found in _TURNS else 1


def _upright(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    if turn is not None:
        image = image.transpose(turn)
    image.info.clear()  # with its EXIF, whoever saves and reopens the image would turn it again
    return image


def _rgb(image: Image.Image) -> Image.Image:
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


# What goes wrong


@contextmanager
def _pillow(name: str, data: bytes = b"") -> Iterator[None]:
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
        raise _not_an_image(name, data) from problem
    except (Image.DecompressionBombError, MemoryError) as problem:
        raise _too_large(name, str(problem) or "more than memory holds") from problem
    except Exception as problem:
        found = shorten(str(problem), 100) or type(problem).__name__
        if isinstance(problem, EOFError) or "truncated" in found.lower() or "only got" in found:
            message, code = f"{name}: cut short ({found})", "image-truncated"
        else:
            message, code = f"{name}: damaged ({found})", "image-unreadable"
        raise ImageError(message, cure=_AGAIN, code=code) from problem
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


def cannot_read(name: str, problem: Exception) -> ImageError:
    """Say why a file or a folder cannot be read, of what the system said."""
    reason = getattr(problem, "strerror", None) or str(problem)
    if isinstance(problem, (FileNotFoundError, NotADirectoryError)):
        cure = "check the path"
        return ImageError(f"{name}: not found ({reason})", cure=cure, code="image-missing")
    return ImageError(f"{name}: cannot be read ({reason})", cure="check its permissions")


def _not_an_image(name: str, data: bytes) -> ImageError:
    for start, kind in _STARTS.items():
        if data.startswith(start):
            found = f"{name}: begins as a {kind}, but its header is cut short or damaged"
            return ImageError(found, cure=_AGAIN, code="image-truncated")
    cure = "convert it to JPEG or PNG" if data[4:8] == b"ftyp" else ""  # HEIC, from a telephone
    start_shown = repr(data[:16])[2:-1]
    found = f'{name}: not an image (starts with "{start_shown}")'
    return ImageError(found, cure=cure, code="image-not-an-image")


def _too_large(name: str, found: str) -> ImageError:
    cure = "scale it down first"
    return ImageError(f"{name}: too large ({found})", cure=cure, code="image-too-large")
