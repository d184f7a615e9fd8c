"""Encoded image -> upright RGB tensor, as fast as torchvision, as careful as ``images``.

Plain JPEGs and PNGs, nearly all there are, go to torchvision's decoders, twice as fast as Pillow's.
All else, and whatever those refuse, goes to ``faceverify.images.photo``, which also says what is
wrong with a file that nobody can read.

torchvision's operators are called by name: its Python functions warn on every call, from version
0.29 on, that a later version will have none. With that version Pillow decodes everything.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
import torchvision.io
from torch import Tensor

from faceverify.errors import ImageError
from faceverify.images.photo import open_photo
from faceverify.training.data.sets.errors import data_error

RGB = int(torchvision.io.ImageReadMode.RGB.value)
OPERATORS = torch.ops.image  # registered by the import of torchvision.io
FAST = hasattr(OPERATORS, "decode_jpeg") and hasattr(OPERATORS, "decode_png")
FAST_ON_GPU = hasattr(OPERATORS, "decode_jpegs_cuda")
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
SAME_SHAPE = 1.02  # sides whose ratio differs by more would be stretched visibly


def decode(data: bytes, name: str) -> Tensor:
    """Decode an image to upright RGB, uint8, (3, H, W).

    Args:
        data: the encoded image.
        name: where it lies, for messages.

    Raises:
        ImageError: it is empty, cut short, damaged or no image.
    """
    jpeg = data.startswith(JPEG)
    if FAST and (jpeg or _is_plain_png(data)):
        operator = OPERATORS.decode_jpeg if jpeg else OPERATORS.decode_png
        try:
            image: Tensor = operator(_bytes(data), RGB, True)  # True: upright, by its EXIF
        except RuntimeError:  # let the careful decoder judge
            pass
        else:
            return image
    try:
        pixels = np.asarray(open_photo(data).decode())
    except ImageError as error:
        found = str(error).replace("<bytes>", name, 1)
        raise ImageError(found, code=error.code) from error
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def decode_many(datas: Sequence[bytes], names: Sequence[str], device: torch.device) -> list[Tensor]:
    """Decode images, on a GPU by its own JPEG decoder, else one by one.

    Returns:
        uint8, (3, H, W) each, on the device.

    Raises:
        ImageError: as :func:`decode`, naming the first that cannot be read.
    """
    if FAST_ON_GPU and device.type == "cuda" and all(_gpu_decodes(data) for data in datas):
        encoded = [_bytes(data) for data in datas]
        try:
            images: list[Tensor] = OPERATORS.decode_jpegs_cuda(encoded, RGB, device)
        except RuntimeError:  # one by one, to know which
            pass
        else:
            return images
    return [decode(data, name).to(device) for data, name in zip(datas, names, strict=True)]


def _bytes(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _gpu_decodes(data: bytes) -> bool:
    """Baseline JPEGs without EXIF, which the GPU's decoder would not turn upright."""
    return data.startswith(JPEG) and b"Exif\0\0" not in data[:65536]


def _is_plain_png(data: bytes) -> bool:
    """8 bits a channel, grey or RGB, nothing transparent: no two ways of showing it."""
    if not data.startswith(PNG) or len(data) < 33:
        return False
    depth, colour = struct.unpack(">BB", data[24:26])
    head = data[: data.find(b"IDAT")]
    return depth == 8 and colour in (0, 2) and b"tRNS" not in head


def fitted(image: Tensor, size: tuple[int, int], name: str) -> Tensor:
    """Bring an image to a (height, width), uint8; what has it already comes back as it is.

    Raises:
        TrainingError: its shape is another, so that faces would be stretched.
    """
    height, width = image.shape[-2:]
    if (height, width) == size:
        return image
    stretch = (height / width) / (size[0] / size[1])
    if not 1 / SAME_SHAPE <= stretch <= SAME_SHAPE:
        raise data_error(
            f"{name}: {width} x {height} pixels, where the others have the shape of "
            f"{size[1]} x {size[0]}",
            "cut all to one shape: faceverify data convert --align",
        )
    resized: Tensor = F.interpolate(image[None], size, mode="bilinear", antialias=True)[0]
    return resized
