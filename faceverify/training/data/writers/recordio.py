"""Writing InsightFace's RecordIO packs, as all that reads them wants them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from faceverify.errors import ImageError
from faceverify.images.photo import open_photo
from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.identity_names import write_names
from faceverify.training.data.sets.record_io import EXACT, Labelled, record_of
from faceverify.training.data.writers.written_face import WrittenFace


def write_records(folder: Path, faces: Iterable[WrittenFace]) -> None:
    """Write ``train.rec``, ``train.idx``, ``property`` and the names of the people.

    Record 0 tells where the images end and the people begin; images have the keys 1 to N, person
    after person; the record of a person tells the first key and the one behind the last.

    Args:
        folder: an empty folder.
        faces: person after person.

    Raises:
        TrainingError: more images than the format's labels can number.
        OSError: a file cannot be written.
    """
    with open(folder / "train.rec", "wb") as records, open(folder / "train.idx", "wb") as index:
        pack = _Pack(records, index)
        pack.add(Labelled((0.0, 0.0), b"", array=True))  # as long as what it will be
        names: list[str] = []
        starts: list[int] = []
        size = (0, 0)
        for face in faces:
            if not names or face.identity != names[-1]:
                names.append(face.identity)
                starts.append(pack.next_key)
            size = size if any(size) else _size(face.image)
            pack.add(Labelled((float(len(names) - 1),), face.image, id=pack.next_key))
        end = pack.next_key
        for first, behind in zip(starts, [*starts[1:], end], strict=True):
            span = (float(first), float(behind))
            pack.add(Labelled(span, b"", array=True, id=pack.next_key))
        if pack.next_key > EXACT:
            raise data_error(
                f"{pack.next_key:,} images and people are more than a RecordIO pack can number",
                "convert to WebDataset shards",
            )
        records.seek(0)
        head = Labelled((float(end), float(pack.next_key)), b"", array=True)
        records.write(record_of(head.encoded()))
    text = f"{len(names)},{size[0]},{size[1]}\n"
    (folder / "property").write_text(text, encoding="ascii")
    write_names(folder, names)


class _Pack:
    """Records one after the other, with rising keys, and their index."""

    def __init__(self, records: BinaryIO, index: BinaryIO) -> None:
        self._records = records
        self._index = index
        self._place = 0
        self.next_key = 0

    def add(self, record: Labelled) -> None:
        self._index.write(b"%d\t%d\n" % (self.next_key, self._place))
        self._place += self._records.write(record_of(record.encoded()))
        self.next_key += 1


def _size(image: bytes) -> tuple[int, int]:
    """Height and width of an image; zeros where it is none: the file ``property`` is a hint."""
    try:
        photo = open_photo(image)
    except ImageError:
        return 0, 0
    return photo.height, photo.width
