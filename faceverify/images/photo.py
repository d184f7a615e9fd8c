"""Photos: any kind of source, opened, checked and decoded to upright RGB.

Opening reads the bytes and checks the header, which refuses most files that are no photo; decoding
makes the pixels. Colour profiles are not applied: networks are trained on pixels as stored.

>>> photo = open_photo(Image.new("L", (4, 3)))
>>> photo.width, photo.height, photo.decode().mode
(4, 3, 'RGB')
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from PIL import Image

from faceverify.errors import ImageError, UsageError
from faceverify.images.decoding import (
    TURNS,
    exif_orientation,
    identify_image,
    load_pixels,
    pillow_errors,
    turned_upright,
)
from faceverify.images.object_store import is_url, read_object
from faceverify.images.pixel_modes import check_depth, to_rgb
from faceverify.images.refusals import (
    COPY_AGAIN,
    no_photo_there_error,
    not_an_image_error,
    too_large_error,
)
from faceverify.runtime.addresses import scheme_of
from faceverify.runtime.file_kinds import HEAD, kind_of_file
from faceverify.runtime.standard_streams import standard_input

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Source: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8] | Photo"

MAX_PIXELS = 1 << 28  # telephones take photos of 200 megapixels; at 3 bytes a pixel 0.75 GiB
MAX_PIXELS_NAME = "FACEVERIFY_MAX_PIXELS"  # of the variable that sets another limit
MAX_BYTES = 1 << 30  # an endless pipe has more

# A photo of more pixels has at least one byte for so many of them, and a JPEG is decoded at half
# its width: what a few bytes can make a process allocate is as little as Pillow's own limit allows.
LARGE_PIXELS = 89_478_485
PIXELS_A_BYTE = 100


@dataclass(frozen=True, eq=False)
class Photo:
    """An opened photo: header checked, pixels not yet decoded.

    Holds the encoded bytes and no open file; threads may decode it at the same time.
    """

    name: str
    """As given by the user; begins every message about it."""
    width: int
    """Of the upright photo, in pixels."""
    height: int
    """Of the upright photo, in pixels."""
    _content: bytes | Image.Image = field(
        repr=False
    )  # encoded; or, of image and array, upright RGB
    _turn: Image.Transpose | None = field(default=None, repr=False)

    def decode(self, *, short_side: int | None = None) -> Image.Image:
        """The pixels: RGB, upright, a new image at each call.

        Args:
            short_side: if given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, about
                twice as fast, with no side below this many pixels. Other formats ignore it. A JPEG
                of more than LARGE_PIXELS is never decoded at more than half its size.

        Raises:
            ImageError: what follows the header is cut short or damaged.
        """
        if isinstance(self._content, Image.Image):
            return self._content.copy()
        with pillow_errors(self.name, self._content):
            image = identify_image(self._content)
            if self.width * self.height > LARGE_PIXELS:
                half = min(self.width, self.height) // 2
                short_side = half if short_side is None else min(short_side, half)
            if short_side is not None:
                image.draft("RGB", (max(1, short_side), max(1, short_side)))
            load_pixels(image)
            check_depth(image, self._content)
            return turned_upright(to_rgb(image), self._turn)

    @property
    def sha256(self) -> str:
        """SHA-256 of the encoded bytes, in hexadecimal, computed at each access.

        For an image or array, which has no encoded bytes: of its size and upright RGB pixels.
        """
        if isinstance(self._content, bytes):
            return hashlib.sha256(self._content).hexdigest()
        size = f"RGB {self.width} {self.height}\n".encode()
        return hashlib.sha256(size + self._content.tobytes()).hexdigest()


def open_photo(source: Source, *, max_pixels: int | None = None) -> Photo:
    """A photo, opened, its header checked.

    Args:
        source: a path (a pipe such as ``/dev/fd/63`` too), ``-`` for standard input, the URL of an
            object store (``object_store.py``), encoded bytes, a Pillow image of any mode, a uint8
            array, (H, W, 3) RGB or (H, W) grey, or a :class:`Photo`, returned as it is.
        max_pixels: the largest width x height; more is refused by the header, before memory is
            allocated. By default that of the environment, FACEVERIFY_MAX_PIXELS, else MAX_PIXELS
            and not too many for the bytes.

    Raises:
        ImageError: the photo cannot be used; its codes are listed there. No content raises another
            class of error.
        UsageError: FACEVERIFY_MAX_PIXELS is no number.
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


def set_pixel_limit() -> int | None:
    """The largest width x height of photos that the environment sets; None where it sets none.

    Raises:
        UsageError: it is no number.
    """
    text = os.environ.get(MAX_PIXELS_NAME, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text)):
        raise UsageError(
            f"{MAX_PIXELS_NAME}={text}: no number of pixels", cure="write it as 268435456"
        )
    return int(text)


# From each kind of source to a Photo


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


def _read(path: str, name: str) -> bytes:
    try:
        if path == "-":
            return _drain(standard_input(), name)
        with open(path, "rb", buffering=0) as stream:
            return _drain(stream, name)
    except (OSError, ValueError) as problem:  # a NUL in the path
        if isinstance(problem, OSError) and os.path.isdir(path):
            cure = "name a photo inside it"
            raise ImageError(
                f"{name}: a folder, not an image", cure=cure, code="image-not-an-image"
            ) from problem
        raise cannot_read(name, problem) from problem


def _read_url(url: str) -> bytes:
    data = read_object(url, MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise too_large_error(url, f"more than {MAX_BYTES:,} bytes")
    return data


def _drain(stream: _Readable, name: str) -> bytes:
    """A stream's content, read in steps: a pipe has no size, and may have no end."""
    parts, total = [], 0
    while part := stream.read(1 << 20):
        parts.append(part)
        total += len(part)
        if total - len(part) < HEAD <= total:  # before a film of gigabytes is read
            head = b"".join(parts)
            kind = kind_of_file(head)
            if kind is not None and not kind.picture:
                raise not_an_image_error(name, head)
        if total > MAX_BYTES:
            raise too_large_error(name, f"more than {MAX_BYTES:,} bytes")
    return b"".join(parts)


def _from_bytes(name: str, data: bytes, max_pixels: int | None) -> Photo:
    if not data:
        raise ImageError(f"{name}: empty (0 bytes)", cure=COPY_AGAIN, code="image-empty")
    with pillow_errors(name, data):
        image = identify_image(data)
        width, height = image.size
        _check_size(name, width, height, max_pixels, len(data))
        orientation = exif_orientation(image, data)
    if orientation >= 5:  # lies on its side
        width, height = height, width
    return Photo(name, width, height, data, TURNS.get(orientation))


def _from_image(name: str, image: Image.Image, max_pixels: int | None) -> Photo:
    _check_size(name, *image.size, max_pixels)
    with pillow_errors(name):
        image.load()
        turn = TURNS.get(exif_orientation(image))
        upright = turned_upright(
            to_rgb(image.copy()), turn
        )  # a copy: the caller's may change later
    return Photo(name, *upright.size, upright)


def _from_array(name: str, array: NDArray[np.uint8], max_pixels: int | None) -> Photo:
    import numpy as np  # loaded already where there is an array

    if not isinstance(array, np.ndarray):
        raise TypeError(f"a photo is a path, bytes, an image or an array, not {type(array)}")
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)):
        raise ImageError(
            f"{name}: {array.dtype} of shape {array.shape}",
            cure="give uint8, (H, W, 3) RGB or (H, W) grey",
        )
    return _from_image(name, Image.fromarray(array), max_pixels)


def _check_size(
    name: str, width: int, height: int, max_pixels: int | None, size: int = MAX_BYTES
) -> None:
    """Check the size of a photo: the limits are those that are set, or our own."""
    if not width * height:
        raise ImageError(f"{name}: no pixels ({width} x {height})", code="image-empty")
    given = set_pixel_limit() if max_pixels is None else max_pixels
    limit = MAX_PIXELS if given is None else given
    if width * height > limit:
        found = f"{width:,} x {height:,} pixels, where {limit:,} in all are allowed"
        raise too_large_error(name, found)
    if given is None and width * height > max(LARGE_PIXELS, size * PIXELS_A_BYTE):
        raise too_large_error(name, f"{width:,} x {height:,} pixels out of {size:,} bytes")


# What goes wrong


def cannot_read(name: str, problem: Exception) -> ImageError:
    """The error of a file or folder that cannot be read, with the system's reason."""
    reason = getattr(problem, "strerror", None) or str(problem)
    if scheme := scheme_of(name):
        return no_photo_there_error(name, scheme)
    if isinstance(problem, (FileNotFoundError, NotADirectoryError)):
        cure = "check the path"
        return ImageError(f"{name}: not found ({reason})", cure=cure, code="image-missing")
    cure = "" if name == "standard input" else "check its permissions"
    return ImageError(f"{name}: cannot be read ({reason})", cure=cure)
