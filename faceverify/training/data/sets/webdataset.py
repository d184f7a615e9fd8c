"""WebDataset shards: tar files of samples ``KEY.jpg``, ``KEY.cls`` and perhaps ``KEY.json``.

``KEY.cls`` is the number of the person; ``identities.txt`` beside the shards has the names, one per
line; ``KEY.json`` has attributes. Local shards are indexed once, by the headers of their members,
and then read with random access. Shards that can only be read sequentially, such as URLs, are
streams: see ``shard_stream``.
"""

from __future__ import annotations

import json
import math
import os
import tarfile
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceverify.runtime.parallel import map_ordered
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.sets.identity_names import read_names

IMAGES = ("jpg", "jpeg", "png", "webp", "bmp", "jfif", "jpe", "gif", "tif", "tiff", "avif", "heic",
    "heif", "jp2", "pgm", "ppm", "img")  # fmt: skip
CURE = "copy it again, or convert the set anew"


@dataclass(frozen=True, eq=False)
class ShardImages:
    """Random access to the images of tar files; thread-safe.

    Args:
        paths: of the shards.
        shard: index of the shard of each image, (N,).
        places, sizes: offset and size of each image in bytes, (N,).
        keys: of the samples, N.
        handles: of the open shards.
    """

    paths: list[str]
    shard: NDArray[np.int64] = field(repr=False)
    places: NDArray[np.int64] = field(repr=False)
    sizes: NDArray[np.int64] = field(repr=False)
    keys: list[str] = field(repr=False)
    handles: list[int] = field(repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, index: int) -> bytes:
        """Return an encoded image; TrainingError where the shard is truncated."""
        size = int(self.sizes[index])
        try:
            data = os.pread(self.handles[self.shard[index]], size, int(self.places[index]))
        except OSError as error:
            raise data_error(f"{self.name(index)}: cannot be read ({error.strerror})") from error
        if len(data) < size:
            raise data_error(f"{self.name(index)}: its shard is cut short", CURE)
        return data

    def name(self, index: int) -> str:
        """Shard and key of an image."""
        return f"{self.paths[self.shard[index]]}, key {self.keys[index]}"

    def stamp(self) -> str:
        """Hash of the images' positions, and size and modification time of each shard."""
        import hashlib

        found = hashlib.sha256(self.places.tobytes() + self.shard.tobytes())
        for handle in self.handles:
            status = os.fstat(handle)
            found.update(f"{status.st_size} {status.st_mtime_ns}\0".encode())
        return found.hexdigest()


def find_shards(source: str) -> list[str]:
    """Paths of the shards of a path or pattern; empty if it is something else.

    A pattern has braces, ``shards/{000..127}.tar``; a folder stands for the ``.tar`` files in it.

    Raises:
        TrainingError: a shard of the pattern is missing.
    """
    if not os.path.exists(source) and "{" in source:
        import braceexpand  # webdataset's own

        named = list(braceexpand.braceexpand(source))
        missing = [path for path in named if not os.path.isfile(path)]
        if missing:
            raise data_error(
                f"{source}: {len(missing)} of {len(named)} shards are missing ({missing[0]})",
                "check the pattern",
            )
        return named
    if source.endswith(".tar") and os.path.isfile(source):
        return [source]
    if os.path.isdir(source):
        return sorted(str(path) for path in Path(source).glob("*.tar"))
    return []


def open_shards(source: str, paths: list[str], *, labelled: bool = True) -> FaceSet:
    """Open local shards as a face set, in the order of the shards and their samples.

    Args:
        source: as the user named it.
        paths: of the shards.
        labelled: whether each sample must have a label; else labels and attributes are not read.

    Raises:
        TrainingError: a shard is truncated, compressed, or has a sample without a label.
    """
    samples: list[Sample] = []
    for found in map_ordered(
        lambda shard: _index(shard, paths[shard], labelled), range(len(paths))
    ):
        samples += found
    if not samples:
        raise data_error(f"{source}: holds no samples with an image", "check the shards")
    classes, labels = np.unique([sample.label for sample in samples], return_inverse=True)
    handles = [os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)) for path in paths]
    images = ShardImages(
        paths,
        np.array([sample.shard for sample in samples], np.int64),
        np.array([sample.place for sample in samples], np.int64),
        np.array([sample.size for sample in samples], np.int64),
        [sample.key for sample in samples],
        handles,
    )
    for handle in handles:
        weakref.finalize(images, os.close, handle)
    return FaceSet(
        source,
        "webdataset",
        images,
        labels.astype(np.int64).reshape(-1),
        read_names(Path(paths[0]).parent, classes) if labelled else ["0"],
        _columns(source, samples),
    )


@dataclass(frozen=True)
class Sample:
    """Index entry of a sample: position of its image, label and attributes."""

    shard: int
    key: str
    place: int
    size: int
    label: int
    values: dict[str, float]


def _index(shard: int, path: str, labelled: bool) -> list[Sample]:
    """Index the samples of a shard by the headers of its members, and read their labels."""
    try:
        with open(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            samples = [
                _sample(shard, path, key, members, archive, labelled)
                for key, members in _grouped(archive)
            ]
            # an archive ends with two blocks of zeros, unless it was truncated between members
            stream.seek(archive.offset)
            if stream.read(512) != bytes(512):
                raise data_error(f"{path}: is cut short", CURE)
    except tarfile.ReadError as error:
        start = b""
        with suppress(OSError), open(path, "rb") as stream:
            start = stream.read(2)
        if start == b"\x1f\x8b":
            raise data_error(
                f"{path}: is compressed, so that no place in it can be read by itself",
                "gunzip it, images are compressed already; or train on the stream 'pipe:cat FILE'",
            ) from error
        raise data_error(f"{path}: is no tar file, or cut short ({error})", CURE) from error
    except OSError as error:
        raise data_error(f"{path}: cannot be read ({error.strerror})") from error
    return [sample for sample in samples if sample is not None]


def _grouped(archive: tarfile.TarFile) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Consecutive members with the same key, by extension: the samples."""
    key, members = "", dict[str, tarfile.TarInfo]()
    for member in archive:
        if not member.isreg():
            continue
        folder, slash, name = member.name.rpartition("/")
        stem, _, extension = name.partition(".")
        if folder + slash + stem != key and members:
            yield key, members
            members = {}
        key = folder + slash + stem
        members[extension.lower()] = member
    if members:
        yield key, members


def _sample(
    shard: int,
    path: str,
    key: str,
    members: dict[str, tarfile.TarInfo],
    archive: tarfile.TarFile,
    labelled: bool,
) -> Sample | None:
    image = next((members[kind] for kind in IMAGES if kind in members), None)
    if image is None:  # metadata, such as __meta__
        refuse_dots(path, key, members)
        return None
    texts: dict[str, bytes] = {}
    for kind in ("cls", "json"):
        if kind in members:
            stream = archive.extractfile(members[kind])
            texts[kind] = b"" if stream is None else stream.read()
    label, values = 0, dict[str, float]()
    if labelled:
        label, values = sample_label(f"{path}, key {key}", texts)
    return Sample(shard, key, image.offset_data, image.size, label, values)


def refuse_dots(shard: str, key: str, members: Iterable[str]) -> None:
    """Refuse a sample whose image's name has a dot within, and so no extension of an image.

    The format takes what follows the first dot for the extension: of ``a.1.jpg`` it is ``1.jpg``,
    and ``a.2.jpg`` belongs to the same sample.

    Raises:
        TrainingError: there is one.
    """
    for extension in members:
        if extension.rpartition(".")[2] in IMAGES:
            raise data_error(
                f"{shard}: found {key}.{extension}, whose key has a dot in it: WebDataset takes"
                f" .{extension} for its extension",
                "name the files without dots but that before jpg, cls and json",
            )


def sample_label(name: str, texts: dict[str, bytes]) -> tuple[int, dict[str, float]]:
    """Label and attributes of a sample, from its ``cls`` and ``json``.

    Raises:
        TrainingError: the label is missing or not a whole number.
    """
    try:
        said = json.loads(texts["json"]) if "json" in texts else {}
        if not isinstance(said, dict):
            raise ValueError("its json is no object")
        label = int(texts["cls"]) if "cls" in texts else said["label"]
        if not isinstance(label, int) or label < 0:
            raise ValueError(f"label {label!r}")
    except KeyError:
        raise data_error(f"{name}: has no .cls", "give each image a .cls with its person") from None
    except ValueError as error:
        raise data_error(f"{name}: is no labelled sample ({error})", CURE) from error
    numbers = {
        column: float(value)
        for column, value in said.items()
        if column != "label"
        and isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
    }
    return label, numbers


def _columns(source: str, samples: list[Sample]) -> dict[str, NDArray[np.float64]]:
    names = list(samples[0].values)
    if any(list(sample.values) != names for sample in samples):
        odd = next(sample.key for sample in samples if list(sample.values) != names)
        raise data_error(
            f"{source}: the json of key {odd} has other numbers than that of the first sample",
            "give all samples the same",
        )
    table = {name: [sample.values[name] for sample in samples] for name in names}
    return {name: np.array(values, np.float64) for name, values in table.items()}
