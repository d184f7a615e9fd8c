"""Reader of benchmarks: pair lists, InsightFace packs and folders of identities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.choices import Classes
from faceverify.errors import PairListError, UsageError
from faceverify.evaluation.lists.cfp import is_cfp
from faceverify.evaluation.lists.cub import is_cub
from faceverify.evaluation.lists.identity_list import IdentityList, classes_of
from faceverify.evaluation.lists.identity_photos import (
    IdentityPhotos,
    photos_of_pairs,
    read_identity_folder,
)
from faceverify.evaluation.lists.image_roots import map_images, map_names
from faceverify.evaluation.lists.insightface_bin import read_pack
from faceverify.evaluation.lists.pair_list import PairList
from faceverify.evaluation.lists.reading import (
    PEOPLE_KINDS,
    read_pairs,
    read_people_list,
    sniff,
)
from faceverify.evaluation.protocols import PROTOCOLS
from faceverify.evaluation.protocols.benchmark import Benchmark
from faceverify.evaluation.protocols.protocol import Needs

if TYPE_CHECKING:
    from collections.abc import Sequence

PAIR_PROTOCOLS, IDENTITY_PROTOCOLS = (
    tuple(name for name, protocol in PROTOCOLS.items() if protocol.needs is needs)
    for needs in (Needs.PAIRS, Needs.IDENTITIES)
)


def read_benchmark(
    path: Path,
    *,
    images: Path | None = None,
    pattern: str = "{path}",
    protocol: str | None = None,
    kind: str | None = None,
    group_column: str = "group",
    check_files: bool = True,
    classes: Classes = Classes.ALL,
) -> Benchmark:
    """The benchmark of a pair list, a pack, a list of photos with identities, or a folder of them.

    Args:
        path: the list, pack or folder.
        images: folder of the listed photos; None for the folder of the list.
        pattern: from a listed name to a file, see ``map_images``.
        protocol: None for "all" with a folder or a list of identities, "10fold" otherwise.
        kind: format of the list; None to detect it.
        group_column: of a CSV, TSV or JSON-lines file.
        check_files: whether missing photos are an error; False with precomputed embeddings.
        classes: which identities are kept.

    Raises:
        PairListError: the list is invalid, or photos are missing.
        UsageError: the protocol does not fit.
    """
    if path.is_dir() and not is_cfp(path) and not is_cub(path):
        _require_identity_protocol(path, protocol, "a folder")
        people = read_identity_folder(path)
        names = [str(photo) for photo in people.photos]
        return _of_identities(path, protocol or "all", people, names, classes)
    kind = kind or sniff(path)
    if kind in PEOPLE_KINDS:
        _require_identity_protocol(path, protocol, "photos with people")
        listed = read_people_list(path, kind)
        return _listed_benchmark(
            path, protocol or "all", listed.of_classes(classes), images, pattern, check=check_files
        )
    protocol = protocol or "10fold"
    if kind == "pack":
        return _pack_benchmark(path, protocol)
    pairs = read_pairs(path, kind=kind, group_column=group_column)
    mapped = map_images(pairs, path.parent if images is None else images, pattern=pattern)
    if check_files:
        mapped.require_all()
    name_of = dict(zip(mapped.first, pairs.first, strict=True))
    name_of |= dict(zip(mapped.second, pairs.second, strict=True))
    if protocol in IDENTITY_PROTOCOLS:
        people = photos_of_pairs(pairs, mapped)
        names = [name_of[photo] for photo in people.photos]
        return _of_identities(path, protocol, people, names, classes)
    if classes is not Classes.ALL:
        raise UsageError(f"--classes {classes.value}: {path} is a list of pairs, not of classes")
    position = {file: index for index, file in enumerate(name_of)}
    return Benchmark(
        source=str(path),
        protocol=protocol,
        photos=list(position),
        names=list(name_of.values()),
        pairs=pairs,
        first=_positions(position, mapped.first),
        second=_positions(position, mapped.second),
        identities=[],
    )


def _require_identity_protocol(path: Path, protocol: str | None, found: str) -> None:
    if protocol is not None and protocol not in IDENTITY_PROTOCOLS:
        raise UsageError(
            f"{path}: found {found}, but protocol {protocol} needs a pair list",
            cure=f"use --protocol {' or '.join(IDENTITY_PROTOCOLS)}",
        )


def _of_identities(
    path: Path, protocol: str, people: IdentityPhotos, names: list[str], classes: Classes
) -> Benchmark:
    kept = set(classes_of(people.identities, classes, str(path)))
    rows = [index for index, person in enumerate(people.identities) if person in kept]
    nowhere = np.zeros(0, np.int64)
    return Benchmark(
        str(path), protocol, [people.photos[row] for row in rows], [names[row] for row in rows],
        None, nowhere, nowhere, [people.identities[row] for row in rows], people.notes,
    )  # fmt: skip


def _listed_benchmark(
    path: Path,
    protocol: str,
    listed: IdentityList,
    images: Path | None,
    pattern: str,
    *,
    check: bool,
) -> Benchmark:
    names = [one.photo for one in listed.entries]
    files = map_names(names, listed.root if images is None else images, pattern)
    missing = [file for file in files.values() if check and not file.is_file()]
    if missing:
        named = ", ".join(map(str, missing[:3])) + (", ..." if len(missing) > 3 else "")
        raise PairListError(
            f"{path}: found {len(missing)} of {len(files)} photos missing ({named})",
            cure="name the right image root or pattern",
        )
    nowhere = np.zeros(0, np.int64)
    return Benchmark(
        str(path), protocol, list(files.values()), names, None, nowhere, nowhere,
        [one.identity for one in listed.entries], training=listed.training,
    )  # fmt: skip


def _pack_benchmark(path: Path, protocol: str) -> Benchmark:
    if protocol not in PAIR_PROTOCOLS:
        raise UsageError(f"{path}: a pack has no identities, which protocol {protocol} needs")
    pack = read_pack(path)
    same_as: dict[bytes, int] = {}  # identical photos are one photo
    own = [same_as.setdefault(image, index) for index, image in enumerate(pack.images)]
    kept = list(dict.fromkeys(own))
    position = {index: row for row, index in enumerate(kept)}
    first, second = own[0::2], own[1::2]
    pairs = replace(pack.pairs, first=list(map(str, first)), second=list(map(str, second)))
    _refuse_contradictions(pairs)
    return Benchmark(
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
