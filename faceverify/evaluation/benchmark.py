"""Reader of benchmarks: pair lists, InsightFace packs and folders of identities."""

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
from faceverify.evaluation.lists.labelled_photos import read_label_folder, read_label_table
from faceverify.evaluation.lists.pair_list import PairList
from faceverify.evaluation.lists.reading import read_pairs, sniff
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
) -> Benchmark:
    """The benchmark of a pair list, a pack, or a folder of identities.

    Args:
        path: the list, pack or folder; for labels a folder of them, or a table.
        images: folder of the listed photos; None for the folder of the list.
        pattern: from a listed name to a file, see ``map_images``.
        protocol: None for "all" with a folder, "10fold" otherwise.
        kind: format of the list; None to detect it.
        group_column: of a CSV, TSV or JSON-lines file.
        check_files: whether missing photos are an error; False with precomputed embeddings.

    Raises:
        PairListError: the list is invalid, or photos are missing.
        UsageError: the protocol does not fit.
    """
    nowhere = np.zeros(0, np.int64)
    if protocol is not None and PROTOCOLS[protocol].needs is Needs.LABELS:
        labelled = (
            read_label_folder(path)
            if path.is_dir()
            else read_label_table(path, images=images, check_files=check_files)
        )
        return Benchmark(
            str(path), protocol, list(labelled.photos), labelled.names, None, nowhere, nowhere,
            labelled.people, labelled.notes, labels=labelled.labels,
        )  # fmt: skip
    if path.is_dir() and not is_cfp(path):
        protocol = protocol or "all"
        if protocol not in IDENTITY_PROTOCOLS:
            raise UsageError(
                f"{path}: found a folder, but protocol {protocol} needs a pair list",
                cure=f"use --protocol {' or '.join(IDENTITY_PROTOCOLS)}",
            )
        people = read_identity_folder(path)
        files: list[Path | bytes] = list(people.photos)
        names = [str(photo) for photo in people.photos]
        return Benchmark(
            str(path), protocol, files, names, None, nowhere, nowhere, people.identities,
            people.notes,
        )  # fmt: skip
    protocol = protocol or "10fold"
    kind = kind or sniff(path)
    if kind == "pack":
        return _pack_benchmark(path, protocol)
    pairs = read_pairs(path, kind=kind, group_column=group_column)
    mapped = map_images(pairs, path.parent if images is None else images, pattern=pattern)
    if check_files:
        mapped.require_all()
    name_of = dict(zip(mapped.first, pairs.first, strict=True))
    name_of |= dict(zip(mapped.second, pairs.second, strict=True))
    if protocol in IDENTITY_PROTOCOLS:
        listed = photos_of_pairs(pairs, mapped)
        names = [name_of[photo] for photo in listed.photos]
        return Benchmark(
            str(path), protocol, list(listed.photos), names, None, nowhere, nowhere,
            listed.identities,
        )  # fmt: skip
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
