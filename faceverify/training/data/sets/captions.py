"""Photos and captions: a table with a column of photos and one of captions.

A photo may stand in several rows, with a caption in each. The label of a photo is the number of
the folder that it lies in, as of :mod:`.photos`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from faceverify.runtime.headed_table import OF_PHOTOS, headed_rows
from faceverify.runtime.text import shown
from faceverify.training.config.fields import config_error
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.sets.photos import set_of
from faceverify.training.data.sets.shard_stream import is_stream

COLUMNS = {
    "photo": OF_PHOTOS,
    "caption": ("caption", "text", "sentence", "title", "description"),
}
TABLES = frozenset({".csv", ".tsv"})


def open_captions(source: str | os.PathLike[str]) -> FaceSet:
    """Open a table of photos and captions; paths are relative to its folder.

    Raises:
        TrainingError: it is no such table, a caption is empty, a photo missing, or all captions
            are the same.
    """
    path = Path(source)
    if is_stream(os.fspath(source)) or path.is_dir() or path.suffix.lower() not in TABLES:
        raise config_error(
            f"method clip learns from photos with captions, and {source} is no table of them",
            "name a CSV file with the columns photo,caption; scripts/make_captions.py makes one of "
            "a folder",
        )
    folder, captions = str(path.parent), dict[str, dict[str, None]]()
    for line, cells in headed_rows(path, COLUMNS, {}, complain=data_error):
        photo, caption = cells["photo"], " ".join(cells["caption"].split())
        if not caption or not photo:
            lacks = "caption" if photo else "photo"
            raise data_error(f"{path}:{line}: has no {lacks}", "fill it in, or remove the line")
        photo = os.path.normpath(photo)
        if photo not in captions and not os.path.isfile(os.path.join(folder, photo)):
            raise data_error(
                f"{path}:{line}: no such photo: {shown(photo)}",
                "give paths relative to the table's folder",
            )
        captions.setdefault(photo, {})[caption] = None
    if not captions:
        raise data_error(f"{path}: names no photo", "give a photo and its caption in each line")
    different = {caption for own in captions.values() for caption in own}
    if len(different) == 1 and len(captions) > 1:
        raise data_error(
            f"{path}: all {len(captions):,} photos have one caption, {shown(different.pop())}",
            "give captions that tell them apart",
        )
    found = set_of(str(path), folder, list(captions), ())
    notes = (f"{len(captions):,} photos, {len(different):,} different captions",)
    return replace(found, captions=tuple(map(tuple, captions.values())), notes=notes)
