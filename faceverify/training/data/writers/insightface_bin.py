"""Writing InsightFace verification packs (``lfw.bin``): encoded images, two a pair, and labels."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

from faceverify.runtime.files import atomic_writer


def write_pack(path: Path, images: Sequence[bytes], same: Sequence[bool]) -> None:
    """Write a pack: a pickle of ``(images, same)``, as every reader of them expects.

    Args:
        path: of the file.
        images: encoded, 2N; pair i is images 2i and 2i + 1.
        same: whether a pair shows one person, N.

    Raises:
        OutputError: it cannot be written; what stood there before still does.
    """
    if len(images) != 2 * len(same):
        raise ValueError(f"{len(images)} images for {len(same)} pairs")
    with atomic_writer(path) as stream:
        pickle.dump((list(images), [bool(label) for label in same]), stream, protocol=4)
