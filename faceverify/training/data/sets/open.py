"""Opening of face sets of any format."""

from __future__ import annotations

import os
from pathlib import Path

from faceverify.runtime.addresses import nearest_scheme, scheme_of
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import FaceSet

REMOTE = ("pipe:", "http://", "https://", "s3://", "gs://", "hdfs://", "ais://")


def open_face_set(source: str | os.PathLike[str], *, named: bool = True) -> FaceSet:
    """Open a face set; its format is detected from its content.

    Args:
        source: a folder of people (``FOLDER/PERSON/photo.jpg``), a folder or ``.rec`` file of
            InsightFace RecordIO, or local WebDataset shards: a folder of ``.tar`` files, one of
            them, or a pattern such as ``shards/{000..127}.tar``.
        named: whether each image must have the name of a person. Without names a folder is all
            photos below it, and a ``.txt`` file a list of photos.

    Raises:
        TrainingError: it is missing, damaged, or none of these.
    """
    # imported here, as these modules import FaceSet
    from faceverify.training.data.sets.folders import open_folders
    from faceverify.training.data.sets.photos import LISTS, open_list, open_photos
    from faceverify.training.data.sets.recordio import find_records, open_records
    from faceverify.training.data.sets.webdataset import find_shards, open_shards

    text = os.fspath(source)
    if text.startswith(REMOTE):
        raise data_error(
            f"{text}: can only be read from its beginning to its end, which `train` alone does",
            "copy the shards to a disk",
        )
    if scheme := scheme_of(text):
        near = nearest_scheme(scheme, [one.rstrip(":/") for one in REMOTE])
        raise data_error(
            f"{scheme}://... is a URL of no known kind",
            f"{f'did you mean {near}://...? ' if near else ''}Known: {', '.join(REMOTE)}",
        )
    shards = find_shards(text)
    if shards:
        return open_shards(text, shards, labelled=named)
    path = Path(text)
    if not path.exists():
        raise data_error(f"{path}: no such file or folder", "check the path")
    records = find_records(path)
    if records is not None:
        return open_records(records)
    if path.is_dir():
        return open_folders(path) if named else open_photos(path)
    if not named and path.suffix.lower() in LISTS:
        return open_list(path)
    raise data_error(
        f"{path}: found a file that is neither .rec nor .tar",
        "name a folder of people, a RecordIO pack or WebDataset shards"
        if named
        else "name a folder of photos, a list of them (.txt), a RecordIO pack or WebDataset shards",
    )
