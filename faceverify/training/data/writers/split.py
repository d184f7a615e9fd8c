"""Identity-disjoint split of a set."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from faceverify.errors import OutputError
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import EncodedImages, FaceSet, SomeImages
from faceverify.training.data.sets.folders import PhotoFiles


@dataclass(frozen=True)
class Split:
    """Names of the people of the two parts, each sorted.

    Args:
        train: people to train on.
        held_out: people held out.
    """

    train: list[str]
    held_out: list[str]


def split_people(names: Sequence[str], held_out: int, *, seed: int = 0) -> Split:
    """Hold out the people with the lowest hashes of seed and name.

    So the split is stable: when people are added, few others change parts.

    Args:
        names: of the people, each once.
        held_out: number of people to hold out.
        seed: of the hash.

    Raises:
        TrainingError: one part would be empty.

    >>> split_people(["ann", "bob", "eve", "joe"], 1)
    Split(train=['bob', 'eve', 'joe'], held_out=['ann'])
    """
    if not 0 < held_out < len(names):
        raise data_error(
            f"{held_out} of {len(names)} people to hold out would leave a part empty",
            f"hold out 1 to {len(names) - 1}",
        )

    def draw(name: str) -> bytes:
        text = f"{seed}\0{name}".encode("utf-8", "surrogateescape")
        return hashlib.sha256(text).digest()

    order = sorted(names, key=draw)
    return Split(sorted(order[held_out:]), sorted(order[:held_out]))


def read_list(path: Path) -> list[str]:
    """Read a list of people, one name per line.

    Raises:
        TrainingError: it is unreadable or empty.
    """
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise data_error(f"{path}: cannot be read ({error.strerror})") from error
    names = [line.strip("\r") for line in text.split("\n") if line.strip()]
    if not names:
        raise data_error(f"{path}: names nobody", "give one name a line")
    return names


def write_list(path: Path, names: Sequence[str]) -> None:
    """Write a list of people, one name per line; OSError where that fails."""
    path.write_bytes("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))


def link_photos(face_set: FaceSet, folder: Path) -> None:
    """Hard-link the photos of a set into a folder; copy them if it is on another disk.

    Args:
        face_set: a set of photo files, or a subset of one.
        folder: created, with a folder for each person.

    Raises:
        TrainingError: the set has another format.
        OutputError: a file cannot be created.
    """
    images: EncodedImages = face_set.images
    while isinstance(images, SomeImages):
        images = images.images
    if not isinstance(images, PhotoFiles):
        raise data_error(
            f"{face_set.source}: has no files to link",
            "write lists, and give them to faceverify data convert --only",
        )
    for index in range(len(face_set)):
        source = face_set.name(index)
        target = folder / os.path.relpath(source, images.folder)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, target)
            except OSError:  # another disk, or one without hard links
                shutil.copyfile(source, target)
        except OSError as error:
            raise OutputError(f"{target}: cannot be written ({error.strerror})") from error
