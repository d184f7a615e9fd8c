"""Two parts of a set that share no person."""

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
    """People of the two parts, each in the order of their names.

    Args:
        train: who is learned.
        held_out: who is not.
    """

    train: list[str]
    held_out: list[str]


def split_people(names: Sequence[str], held_out: int, *, seed: int = 0) -> Split:
    """Hold some people out, drawn by seed and name alone.

    Whoever else is in the set decides only where the line is drawn: when people are added, nobody
    but those near it changes sides.

    Args:
        names: of the people, each once.
        held_out: how many are held out.

    Raises:
        TrainingError: it would leave one part without people.

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
    """Read a list of people, one name a line.

    Raises:
        TrainingError: it cannot be read or names nobody.
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
    """Write a list of people, one name a line; OSError where that fails."""
    path.write_bytes("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))


def link_photos(face_set: FaceSet, folder: Path) -> None:
    """Lay a set's photos into a folder as hard links, or as copies on another disk.

    Args:
        face_set: of photo files, or a part of such a set.
        folder: made, with a folder for each person.

    Raises:
        TrainingError: the set is of another kind.
        OutputError: a link cannot be made.
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
