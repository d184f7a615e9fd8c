"""InsightFace's RecordIO packs as sets of faces: ``train.rec``, ``train.idx``, ``property``.

In the usual packs record 0 says where the images end and the people begin; the record of a person
says which images are theirs. Packs without it have a label on each image alone. A file
``identities.txt`` beside, one name a line, is ours: the format knows people by number.
"""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceverify.training.data.sets.errors import data_error
from faceverify.training.data.sets.face_set import FaceSet
from faceverify.training.data.sets.identity_names import read_names
from faceverify.training.data.sets.record_io import (
    EXACT,
    MAGIC_BYTES,
    BrokenRecordError,
    Labelled,
    NoRecordError,
    TruncatedRecordError,
    broken,
    parse_labelled,
    parse_record,
    read_index,
    scan_records,
)

FIRST_READ = 1 << 15  # bytes: most aligned crops are smaller
LOOKED_AT = 1000  # records whose places are tried when a pack is opened


@dataclass(frozen=True, eq=False)
class RecordFile:
    """A ``.rec`` file with its index; safe to use from several threads and after a fork.

    Args:
        path: the file.
        keys: of the records, rising, (M,).
        places: where they begin, (M,).
        ends: where the next record begins, or the file ends, (M,).
    """

    path: Path
    keys: NDArray[np.int64] = field(repr=False)
    places: NDArray[np.int64] = field(repr=False)
    ends: NDArray[np.int64] = field(repr=False)
    handle: int = field(repr=False)

    def record(self, position: int) -> Labelled:
        """The record at a position among the keys.

        Raises:
            TrainingError: it cannot be read, is damaged, or the index is wrong.
        """
        place, end = int(self.places[position]), int(self.ends[position])
        try:
            size = min(end - place, FIRST_READ)
            while True:
                try:
                    data, length = parse_record(os.pread(self.handle, size, place))
                    break
                except TruncatedRecordError as short:
                    if size == end - place:
                        raise
                    size = min(end - place, max(short.needed, 2 * size))
            # between it and the next that the index names may lie records that it does not name
            if place + length < end and os.pread(self.handle, 4, place + length) != MAGIC_BYTES:
                raise NoRecordError
            return parse_labelled(data)
        except TruncatedRecordError as error:
            if end < os.fstat(self.handle).st_size:
                raise self._foreign_index(position) from error
            raise broken(str(self.path), place, error) from error
        except NoRecordError as error:
            raise self._foreign_index(position) from error
        except BrokenRecordError as error:
            raise broken(str(self.path), place, error) from error
        except OSError as error:
            raise data_error(f"{self.path}: cannot be read ({error.strerror})") from error

    def _foreign_index(self, position: int) -> Exception:
        index = self.path.with_suffix(".idx").name
        return data_error(
            f"{self.path}: no record begins and ends where {index} says key "
            f"{self.keys[position]} does, at byte {self.places[position]:,}",
            f"{index} is of another file or damaged: remove it to have the records found anew",
        )


@dataclass(frozen=True, eq=False)
class RecordImages:
    """The images among the records of a file.

    Args:
        file: the records.
        positions: of the images among the keys, (N,).
        labels: that their records must have, (N,).
    """

    file: RecordFile
    positions: NDArray[np.int64]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions)

    def read(self, index: int) -> bytes:
        """Return an encoded image; TrainingError where its record is damaged or another's."""
        record = self.file.record(int(self.positions[index]))
        if record.labels[0] != self.labels[index]:
            raise data_error(
                f"{self.name(index)}: has the label {record.labels[0]:g}, where the pack says "
                f"{self.labels[index]}",
                "copy train.rec and train.idx again, from one place",
            )
        return record.image

    def name(self, index: int) -> str:
        """Tell file and key of an image."""
        return f"{self.file.path}, key {self.file.keys[self.positions[index]]}"

    def stamp(self) -> str:
        """Size and time of the file, and which images."""
        import hashlib

        status = os.fstat(self.file.handle)
        chosen = hashlib.sha256(self.file.places[self.positions].tobytes()).hexdigest()
        return f"{status.st_size} {status.st_mtime_ns} {chosen}"


def find_records(path: Path) -> Path | None:
    """The ``.rec`` file that a path means: itself, or the only one in the folder."""
    if path.suffix == ".rec" and path.is_file():
        return path
    if path.is_dir():
        if (path / "train.rec").is_file():
            return path / "train.rec"
        found = sorted(path.glob("*.rec"))
        if len(found) == 1:
            return found[0]
    return None


def open_records(path: Path) -> FaceSet:
    """Open a pack by its ``.rec`` file.

    Raises:
        TrainingError: it is cut short or damaged, or its index is of another file.
    """
    file, notes = open_record_file(path)
    positions, labels = image_labels(file)
    if not len(positions):
        raise data_error(f"{path}: holds no images", "copy it again")
    classes, compact = np.unique(labels, return_inverse=True)
    notes += _property_notes(path, len(classes))
    return FaceSet(
        str(path),
        "recordio",
        RecordImages(file, positions, labels),
        compact.astype(np.int64).reshape(-1),
        read_names(path.parent, classes),
        notes=tuple(notes),
    )


def open_record_file(path: Path) -> tuple[RecordFile, list[str]]:
    """Open a ``.rec`` file and find its records, by the index or, without one, by reading it.

    Returns:
        The file, and what a user should know.

    Raises:
        TrainingError: it is cut short or damaged, or its index is of another file.
    """
    index = path.with_suffix(".idx")
    notes = []
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise data_error(f"{path}: cannot be read ({error.strerror})") from error
    try:
        size = os.fstat(handle).st_size
        if index.exists():
            keys, places = read_index(index)
        else:
            with open(path, "rb") as stream:
                places = np.array([p for p, _ in scan_records(stream, str(path))], np.int64)
            keys = np.arange(len(places))
            notes.append(f"no {index.name}: the records were found by reading all of {path.name}")
        order = np.argsort(keys, kind="stable")
        keys, places = keys[order], places[order]
        outside = np.flatnonzero((places < 0) | (places + 8 > size))
        if len(outside):
            raise data_error(
                f"{path}: has {size:,} bytes, but {index.name} says that key {keys[outside[0]]} "
                f"begins at byte {places[outside[0]]:,}",
                f"{path.name} is cut short, or {index.name} of another file: copy both again",
            )
        begins = np.sort(places)
        ends = np.append(begins[1:], size)[np.searchsorted(begins, places)]
        file = RecordFile(path, keys, places, ends, handle)
        last = int(np.argmax(places)) if len(places) else 0
        some = np.linspace(0, len(keys) - 1, min(LOOKED_AT, len(keys))).astype(int)
        for position in sorted({*some.tolist(), last} if len(keys) else ()):
            file.record(position)
    except BaseException:
        os.close(handle)
        raise
    weakref.finalize(file, os.close, handle)
    return file, notes


def image_labels(file: RecordFile) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the images and the label of each.

    Returns:
        Positions among the keys, and labels as the pack numbers them, (N,) each.
    """
    head = file.record(0) if len(file.keys) and file.keys[0] == 0 else None
    if head is None or head.image or len(head.labels) != 2:
        positions = np.arange(len(file.keys))
        return positions, np.array([_label(file, int(p)) for p in positions], np.int64)
    start, stop = (int(value) for value in head.labels)
    if stop > EXACT:  # float32 no longer tells these keys apart: each image's own label does
        positions = np.array([p for p in range(1, len(file.keys)) if file.record(p).image])
        return positions, np.array([_label(file, int(p)) for p in positions], np.int64)
    positions = np.flatnonzero((file.keys >= 1) & (file.keys < start))
    labels = np.full(len(positions), -1, np.int64)
    image_keys = file.keys[positions]
    for person in np.flatnonzero((file.keys >= start) & (file.keys < stop)):
        record = file.record(int(person))
        if len(record.labels) < 2:
            raise data_error(
                f"{file.path}: key {file.keys[person]} should say which images are a person's, and "
                "does not",
                "copy the pack again",
            )
        # whole numbers: floats would have all of the keys converted, for each person anew
        low, high = np.searchsorted(image_keys, np.array(record.labels[:2], np.int64))
        if low < high:
            labels[low:high] = _label(file, int(positions[low]))
    if (labels < 0).any():
        lost = positions[np.flatnonzero(labels < 0)]
        raise data_error(
            f"{file.path}: {len(lost)} images are no person's (key {file.keys[lost[0]]})",
            "copy the pack again",
        )
    return positions, labels


def _label(file: RecordFile, position: int) -> int:
    label = file.record(position).labels[0]
    if not (0 <= label <= EXACT and label == int(label)):
        raise data_error(
            f"{file.path}: key {file.keys[position]} has the label {label:g}",
            f"labels are whole numbers up to {EXACT:,}",
        )
    return int(label)


def _property_notes(path: Path, people: int) -> list[str]:
    try:
        line = (path.parent / "property").read_text(encoding="ascii").splitlines()[0]
        stated = int(line.split(",")[0])
    except FileNotFoundError:
        return []
    except (OSError, ValueError, IndexError):
        return ["the file property cannot be read: it is not needed"]
    if stated != people:
        return [f"the file property says {stated} people, the records are of {people}"]
    return []
