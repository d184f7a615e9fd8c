"""Pixels of any mode and depth, made into RGB of 8 bits."""

from __future__ import annotations

from typing import cast

from PIL import Image


def to_rgb(image: Image.Image) -> Image.Image:
    """The image in RGB, from any mode; an RGB image is returned itself, not a copy."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    if image.mode == "La":  # Pillow converts it to nothing else
        image = image.convert("LA")
    if image.has_transparency_data:
        # Onto white, as viewers show it. Dropping the alpha would bring hidden pixels back: black
        # behind a cut-out face, or the background that was cut away.
        image = image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image)
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")


# White in images of more than 8 bits: of integers (8 bits in 16; cameras and scanners of 10, 12 and
# 14 bits store their values unscaled), and of floats.
WHITES = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)
FLOAT_WHITES = (1.0, 255.0)


class UnusualPixelsError(ValueError):
    """Pixels that cannot be made into 8 bits; its text says what they are."""


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey image of 16 or 32 bits scaled to 8; Pillow would clip values above 255 to white.

    White is the least of WHITES, or FLOAT_WHITES, that no value exceeds; where values lie outside
    of them all, their range is stretched from black to white.

    Raises:
        UnusualPixelsError: values that are no numbers.
    """
    import numpy as np

    values = np.asarray(image, dtype=np.float32)  # (H, W)
    black, white = float(values.min()), float(values.max())
    if not np.isfinite([black, white]).all():
        raise UnusualPixelsError("pixels that are NaN or infinite")
    usual = FLOAT_WHITES if image.mode == "F" else WHITES
    if black >= 0 and white <= usual[-1]:
        black, white = 0.0, next(one for one in usual if white <= one)
    scale = 255 / ((white - black) or 1)
    with np.errstate(all="ignore"):  # floats at the very ends of their range
        grey = np.clip(values * scale - (black * scale - 0.5), 0, 255).astype(np.uint8)
    return Image.fromarray(grey)


DARK = 63  # 14 of 16 bits, in the upper 8


def check_depth(image: Image.Image, data: bytes) -> None:
    """Check that colours of 16 bits use them: Pillow keeps the upper 8, which may be all black.

    Args:
        image: decoded.
        data: its file.

    Raises:
        UnusualPixelsError: they hold values of 14 bits or fewer.
    """
    deep = image.format == "PNG" and data[24:25] == b"\x10"
    if image.format == "TIFF":
        deep = max(getattr(image, "tag_v2", {}).get(258, (8,))) > 8
    if not deep or image.mode not in ("RGB", "RGBA", "LA"):
        return
    extrema = cast("tuple[tuple[int, int], ...]", image.getextrema())
    brightest = max(high for _, high in extrema[: 1 if image.mode == "LA" else 3])
    if 0 < brightest <= DARK:
        raise UnusualPixelsError("colours of 16 bits, of which the upper are unused: nearly black")
