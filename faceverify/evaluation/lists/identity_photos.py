"""Photos with identities, from a folder of identities or from a pair list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faceverify.errors import PairListError
from faceverify.images.people import read_people

if TYPE_CHECKING:
    from faceverify.evaluation.lists.image_roots import PairImages
    from faceverify.evaluation.lists.pair_list import PairList


@dataclass(frozen=True, eq=False)
class IdentityPhotos:
    """N photos and their identities.

    Args:
        source: the folder or list.
        photos: files, N.
        identities: N.
        notes: caveats, one line each.
    """

    source: str
    photos: list[Path]
    identities: list[str]
    notes: tuple[str, ...] = ()


def read_identity_folder(folder: Path) -> IdentityPhotos:
    """Photos of ``FOLDER/PERSON/**/PHOTO``: the first folder below the root is the identity.

    Raises:
        ImageError: the folder is missing or cannot be read.
        PairListError: it holds no photos in folders of people.
    """
    people = read_people(folder)
    if not people.photos:
        raise PairListError(
            f"{folder}: found {people.lack}, expected one folder a person",
            cure="FOLDER/PERSON/photo.jpg",
        )
    notes = people.notes
    if len(set(people.names)) == 1:
        notes.append("one person: there are no impostor comparisons")
    return IdentityPhotos(str(folder), people.photos, people.names, tuple(notes))


def photos_of_pairs(pairs: PairList, images: PairImages) -> IdentityPhotos:
    """All photos of a pair list, each once, with their identities.

    Raises:
        PairListError: the list has no identities, or two for one photo.
    """
    if pairs.first_identity is None or pairs.second_identity is None:
        raise PairListError(
            f"{pairs.source}: found no identities, expected a person for every photo",
            cure="give a folder with one folder a person",
        )
    known: dict[Path, str] = {}
    for files, people in (
        (images.first, pairs.first_identity),
        (images.second, pairs.second_identity),
    ):
        for file, person in zip(files, people, strict=True):
            if known.setdefault(file, person) != person:
                raise PairListError(
                    f"{pairs.source}: found {file} as {known[file]} and as {person}",
                    cure="correct the list",
                )
    return IdentityPhotos(pairs.source, list(known), list(known.values()))
