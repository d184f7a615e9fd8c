"""Writing InsightFace's RecordIO packs, as all that reads them wants them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from faceverify.training.data.face_set import FaceSet, data_error
from faceverify.training.data.identity_names import write_names
from faceverify.training.data.record_io import EXACT, Labelled, record_of


def write_records(folder: Path, face_set: FaceSet, images: Iterable[bytes]) -> None:
    """Write ``train.rec``, ``train.idx``, ``property`` and the names of the people.

    Record 0 tells where the images end and the people begin; images have the keys 1 to N, person
    after person; the record of a person tells the first key and the one behind the last.

    Args:
        folder: an empty folder.
        face_set: whose images they are, person after person.
        images: encoded, in that order; read one by one.

    Raises:
        TrainingError: more images than the format's labels can number.
        OSError: a file cannot be written.
    """
    count, people = len(face_set), len(face_set.identities)
    if count + 1 + people > EXACT:
        raise data_error(
            f"{face_set.source}: {count:,} images are more than a RecordIO pack can number",
            "convert it to WebDataset shards",
        )
    if (np.diff(face_set.labels) < 0).any():
        raise ValueError("the images of a pack lie person after person")
    bounds = np.searchsorted(face_set.labels, np.arange(people + 1)) + 1
    place = 0
    with open(folder / "train.rec", "wb") as records, open(folder / "train.idx", "wb") as index:

        def add(key: int, record: Labelled) -> None:
            nonlocal place
            written = record_of(record.encoded())
            index.write(b"%d\t%d\n" % (key, place))
            place += records.write(written)

        add(0, Labelled((float(count + 1), float(count + 1 + people)), b"", array=True))
        for key, (label, image) in enumerate(zip(face_set.labels, images, strict=True), 1):
            add(key, Labelled((float(label),), image, id=key))
        for person in range(people):
            span = (float(bounds[person]), float(bounds[person + 1]))
            key = count + 1 + person
            add(key, Labelled(span, b"", array=True, id=key))
    height, width = face_set.image(0).shape[-2:]
    (folder / "property").write_text(f"{people},{height},{width}\n", encoding="ascii")
    write_names(folder, face_set.identities)
