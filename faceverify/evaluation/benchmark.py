"""Read a pair list, a pack or a folder of people as the task of an evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import PairListError, UsageError
from faceverify.evaluation.lists.cfp import is_cfp
from faceverify.evaluation.lists.identity_photos import photos_of_pairs, read_identity_folder
from faceverify.evaluation.lists.image_roots import map_images
from faceverify.evaluation.lists.insightface_bin import read_pack
from faceverify.evaluation.lists.pair_list import PairList
from faceverify.evaluation.lists.reading import read_pairs, sniff
from faceverify.evaluation.protocols import PROTOCOLS
from faceverify.evaluation.protocols.protocol import Needs
from faceverify.evaluation.protocols.task import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

OF_PAIRS, OF_PEOPLE = (
    tuple(name for name, protocol in PROTOCOLS.items() if protocol.needs is needs)
    for needs in (Needs.PAIRS, Needs.PEOPLE)
)


def read_task(
    path: Path,
    *,
    images: Path | None = None,
    pattern: str = "{path}",
    protocol: str | None = None,
    kind: str | None = None,
    group_column: str = "group",
    check_files: bool = True,
) -> Task:
    """Read a pair list, a pack, or a folder of people.

    Args:
        path: what to evaluate on.
        images: folder of the photos that a list names; default: the list's own folder.
        pattern: from a listed name to a file, see ``map_images``.
        protocol: None for "all" of a folder, and "10fold" of all else.
        kind: of list; None to tell it from the content.
        group_column: of a CSV, TSV or JSON-lines file.
        check_files: whether missing photos are an error; not where embeddings are ready.

    Raises:
        PairListError: the list cannot be used; how many photos are missing, and which.
        UsageError: a protocol that does not fit.
    """
    nowhere = np.zeros(0, np.int64)
    if path.is_dir() and not is_cfp(path):
        protocol = protocol or "all"
        if protocol not in OF_PEOPLE:
            raise UsageError(
                f"{path}: found a folder, but protocol {protocol} needs a pair list",
                cure=f"use --protocol {' or '.join(OF_PEOPLE)}",
            )
        people = read_identity_folder(path)
        files: list[Path | bytes] = list(people.photos)
        names = [str(photo) for photo in people.photos]
        return Task(
            str(path), protocol, files, names, None, nowhere, nowhere, people.identities,
            people.notes,
        )  # fmt: skip
    protocol = protocol or "10fold"
    kind = kind or sniff(path)
    if kind == "pack":
        return _pack_task(path, protocol)
    pairs = read_pairs(path, kind=kind, group_column=group_column)
    mapped = map_images(pairs, path.parent if images is None else images, pattern=pattern)
    if check_files:
        mapped.require_all()
    name_of = dict(zip(mapped.first, pairs.first, strict=True))
    name_of |= dict(zip(mapped.second, pairs.second, strict=True))
    if protocol in OF_PEOPLE:
        listed = photos_of_pairs(pairs, mapped)
        names = [name_of[photo] for photo in listed.photos]
        return Task(
            str(path), protocol, list(listed.photos), names, None, nowhere, nowhere,
            listed.identities,
        )  # fmt: skip
    position = {file: index for index, file in enumerate(name_of)}
    return Task(
        source=str(path),
        protocol=protocol,
        photos=list(position),
        names=list(name_of.values()),
        pairs=pairs,
        first=_positions(position, mapped.first),
        second=_positions(position, mapped.second),
        identities=[],
    )


def _pack_task(path: Path, protocol: str) -> Task:
    if protocol not in OF_PAIRS:
        raise UsageError(f"{path}: a pack names nobody, which protocol {protocol} needs")
    pack = read_pack(path)
    same_as: dict[bytes, int] = {}  # a photo that comes again is the same photo
    own = [same_as.setdefault(image, index) for index, image in enumerate(pack.images)]
    kept = list(dict.fromkeys(own))
    position = {index: row for row, index in enumerate(kept)}
    first, second = own[0::2], own[1::2]
    pairs = replace(pack.pairs, first=list(map(str, first)), second=list(map(str, second)))
    _refuse_contradictions(pairs)
    return Task(
        source=str(path),
        protocol=protocol,
        photos=[pack.images[index] for index in kept],
        names=[f"photo {index}" for index in kept],
        pairs=pairs,
        first=np.array([position[index] for index in first], np.int64),
        second=np.array([position[index] for index in second], np.int64),
        identities=[],
    )


def _refuse_contradictions(pairs: PairList) -> None:
    known: dict[frozenset[str], bool] = {}
    for index, (first, second, same) in enumerate(
        zip(pairs.first, pairs.second, pairs.same, strict=True)
    ):
        if known.setdefault(frozenset((first, second)), bool(same)) != same:
            raise PairListError(
                f"{pairs.source}: found pair {index} (photos {first} and {second}) as same and as "
                "different",
                cure="use a correct pack",
            )


def _positions(position: dict[Path, int], files: Sequence[Path]) -> NDArray[np.int64]:
    return np.array([position[file] for file in files], np.int64)
