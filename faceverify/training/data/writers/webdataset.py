"""Writing WebDataset shards, by the library's own writer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from faceverify.runtime.json_lines import json_line
from faceverify.training.data.sets.identity_names import write_names
from faceverify.training.data.writers.written_face import WrittenFace, extension

SHARD_SIZE = 10_000  # images: 30 MB of aligned crops


def write_shards(
    folder: Path,
    faces: Iterable[WrittenFace],
    identities: Sequence[str],
    *,
    shard_size: int = SHARD_SIZE,
) -> None:
    """Write ``000000.tar``, ``000001.tar``, ... and the names of the people.

    The same faces give the same bytes.

    Args:
        folder: an empty folder.
        faces: in the order of the shards: shuffled, for a stream shuffles only what is near.
        identities: names of the people; the place of a name is its number.
        shard_size: images of a shard.

    Raises:
        OSError: a file cannot be written.
    """
    import webdataset

    number = {name: index for index, name in enumerate(identities)}
    pattern = str(folder).replace("%", "%%") + "/%06d.tar"
    with webdataset.ShardWriter(
        pattern, maxcount=shard_size, maxsize=float("inf"), verbose=0, mtime=0, encoder=False
    ) as shards:
        for index, face in enumerate(faces):
            sample: dict[str, Any] = {
                "__key__": f"{index:09d}",
                extension(face.image)[1:]: face.image,
                "cls": b"%d" % number[face.identity],
            }
            if face.values:
                sample["json"] = json_line(face.values).encode()
            shards.write(sample)
    write_names(folder, identities)
