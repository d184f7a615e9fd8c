"""A probe, other people who tell how a run without names goes: none that it has learned from."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress

from faceverify.training.data.loading.left_out import BAD_IMAGE
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import EncodedImages, FaceSet
from faceverify.training.data.sets.folders import PhotoFiles
from faceverify.training.data.sets.open import open_face_set


def refuse_shared(probe: str, photos: FaceSet) -> None:
    """Refuse a probe of too few people, or with photos of the training set, learned by heart.

    Files are compared by their bytes where their sizes are the same; a pack by its path alone.

    Raises:
        TrainingError: a photo is in both, or there is nobody to tell apart.
    """
    judged = open_face_set(probe)
    if judged.num_identities < 2 or judged.counts().max() < 2:
        raise data_error(
            f"the probe {probe}: found {judged.num_identities} people, and at most "
            f"{judged.counts().max()} photos of one",
            "name a folder of two people or more, one of them with two photos",
        )
    cure = "name a folder of people with other photos"
    if os.path.realpath(probe) == os.path.realpath(photos.source):
        raise data_error(f"the probe {probe} is the training set itself", cure)
    own = photos.images
    if not isinstance(own, PhotoFiles):
        return
    sizes = dict[int, list[int]]()
    for index in range(len(own)):
        with suppress(OSError):  # reading it will say so
            sizes.setdefault(os.stat(own.name(index)).st_size, []).append(index)
    digests = dict[int, dict[bytes, int]]()
    for index in range(len(judged)):
        digest, size = digest_of(judged.images, index)
        if size not in sizes:
            continue
        if size not in digests:
            digests[size] = {digest_of(own, place)[0]: place for place in sizes[size]}
        same = digests[size].get(digest) if digest else None
        if same is not None:
            raise data_error(
                f"the probe {probe} shares photos with the training set: {judged.name(index)} is "
                f"{own.name(same)}",
                cure,
            )


def digest_of(images: EncodedImages, index: int) -> tuple[bytes, int]:
    """Hash and size of an encoded image; empty and -1 where it cannot be read."""
    with suppress(*BAD_IMAGE):
        content = images.read(index)
        return hashlib.sha256(content).digest(), len(content)
    return b"", -1
