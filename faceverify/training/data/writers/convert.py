"""From one format of training sets to another: the images byte for byte, unless changed on the way.

The new set is written aside and renamed when it is whole.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from faceverify.errors import FaceverifyError, ImageError, NoDecisionError, OutputError
from faceverify.images.photo import open_photo
from faceverify.runtime.parallel import map_ordered
from faceverify.training.data.sets.face_set import EncodedImages, FaceSet, SomeImages
from faceverify.training.data.sets.folders import PhotoFiles
from faceverify.training.data.writers.folders import write_folders
from faceverify.training.data.writers.recordio import write_records
from faceverify.training.data.writers.webdataset import SHARD_SIZE, write_shards
from faceverify.training.data.writers.written_face import WrittenFace

FORMATS = ("folders", "recordio", "webdataset")

Change = Callable[[bytes, str], bytes]  # encoded image and its name -> encoded image


def convert(
    face_set: FaceSet,
    destination: Path,
    kind: str,
    *,
    change: Change | None = None,
    refuse: Callable[[str, FaceverifyError], None] | None = None,
    seed: int = 0,
    shard_size: int = SHARD_SIZE,
    workers: int | None = None,
    progress: Callable[[Iterable[object], str, int | None], Iterator[object]] | None = None,
) -> int:
    """Write a set anew in a format.

    Args:
        face_set: the set.
        destination: a folder that does not exist yet.
        kind: one of ``FORMATS``.
        change: makes another image of each, such as a smaller one.
        refuse: told of each image that ``change`` could not use, which is left out; None to stop.
        seed: of the order of the images in shards.
        shard_size: images of a shard.
        workers: threads that read and change images; by default one for each processor.
        progress: shown the images as they are written.

    Returns:
        How many images were written.

    Raises:
        ImageError, TrainingError: an image that cannot be read, or that the format cannot hold.
        OutputError: the destination is there already, or cannot be written.
    """
    order = np.argsort(face_set.labels, kind="stable")
    if kind == "webdataset":
        order = np.random.default_rng(seed).permutation(len(face_set))

    def made(position: int) -> WrittenFace | None:
        image = face_set.read(position)
        if change is not None:
            try:
                image = change(image, face_set.name(position))
            except (ImageError, NoDecisionError) as error:
                if refuse is None:
                    raise
                refuse(face_set.name(position), error)
                return None
        return WrittenFace(
            face_set.identities[face_set.labels[position]],
            image,
            stem_of(face_set, position) if kind == "folders" else "",
            {name: float(values[position]) for name, values in face_set.columns.items()},
        )

    written = 0

    def faces() -> Iterator[WrittenFace]:
        nonlocal written
        found: Iterable[object] = map_ordered(made, order.tolist(), workers=workers)
        if progress is not None:
            found = progress(found, "images", len(order))
        for face in found:
            if isinstance(face, WrittenFace):
                written += 1
                yield face

    with staged(destination) as folder:
        if kind == "folders":
            write_folders(folder, faces())
        elif kind == "recordio":
            write_records(folder, faces())
        else:
            write_shards(folder, faces(), face_set.identities, shard_size=shard_size)
    return written


def stem_of(face_set: FaceSet, position: int) -> str:
    """Name of an image's file in its person's folder, without extension; empty if it has none."""
    images: EncodedImages = face_set.images
    index = position
    while isinstance(images, SomeImages):
        index = int(images.positions[index])
        images = images.images
    if not isinstance(images, PhotoFiles):
        return ""
    _, _, below = images.paths[index].partition(os.sep)
    return os.path.splitext(below)[0]


@contextmanager
def staged(destination: Path) -> Iterator[Path]:
    """A folder to write into, which becomes the destination when the block ends well.

    Raises:
        OutputError: the destination is there already and not empty, or cannot be written.
    """
    aside = destination.with_name(f".{destination.name}-{secrets.token_hex(4)}.part")
    try:
        if destination.is_dir() and not any(destination.iterdir()):
            destination.rmdir()
        if destination.exists() or destination.is_symlink():
            raise OutputError(f"{destination}: is there already", cure="name a new folder")
        aside.mkdir(parents=True)
        yield aside
        aside.rename(destination)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{destination}: cannot be written ({reason})",
            cure="free some space or write elsewhere",
        ) from error
    finally:
        with suppress(OSError):
            shutil.rmtree(aside)


def resized(data: bytes, name: str, *, side: int, quality: int = 95) -> bytes:
    """An image of width and height ``side``: what has it already stays byte for byte.

    A JPEG becomes a JPEG, all else a PNG.

    Raises:
        ImageError: it cannot be decoded.
    """
    try:
        photo = open_photo(data)
        if (photo.width, photo.height) == (side, side):
            return data
        image = photo.decode().resize((side, side), Image.Resampling.LANCZOS)
    except ImageError as error:
        raise ImageError(str(error).replace("<bytes>", name, 1), code=error.code) from error
    return encoded(image, jpeg=data.startswith(b"\xff\xd8\xff"), quality=quality)


def encoded(image: Image.Image, *, jpeg: bool, quality: int = 95) -> bytes:
    """An image's file."""
    stream = BytesIO()
    if jpeg:
        image.save(stream, "JPEG", quality=quality)
    else:
        image.save(stream, "PNG")
    return stream.getvalue()
