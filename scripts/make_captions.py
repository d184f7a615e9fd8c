"""Make captions of the photos of a labelled folder, for `faceverify pretrain --method clip`.

A caption is a sentence with the name of the photo's folder, what can be measured without labels
(light, colour, size, the turn of the head), and, with --attributes, what a table says of it:

    photo,caption
    ann/1.jpg,"a photo of ann, dark, turned to the left; smiling, eyeglasses"

The table of attributes has a column of photos (path or name of the file), or the columns person and
imagenum as that of LFW (https://www.cs.columbia.edu/CAVE/databases/pubfig/), and a column for
each attribute: a number above 0 says that the photo has it, any other number that it has not, a
word stands as it is.

Usage: ``python scripts/make_captions.py people/ people/captions.csv --attributes table.csv``
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceverify.errors import FaceverifyError, UsageError
from faceverify.faces.detection import Detector, Face
from faceverify.images.people import read_people
from faceverify.images.photo import open_photo
from faceverify.models.registry import bundled_folder
from faceverify.runtime.files import atomic_write
from faceverify.runtime.headed_table import table_text
from faceverify.runtime.table_lines import split_of

SENTENCE = "a photo of {label}"
LONGEST = 512  # pixels of the side that is measured; more changes no figure here
# What is said of a value below the first bound, and above the second; nothing between them
LIGHT = ((70, "dark"), (170, "bright"))  # mean grey level
COLOUR = ((15, "pale"), (45, "colourful"))  # of Hasler and Suesstrunk's scale: slight, average
SIZE = ((100, "small"), (600, "large"))  # shorter side, in pixels
GREY = 6  # largest difference of the channels of a photo in black and white, at its 99th percentile
TURNED = 0.12  # of the nose from the middle of the eyes, in eye distances; a half profile has 0.5
PHOTO = ("photo", "path", "file", "filename", "image", "image_id")

Bounds = tuple[tuple[float, str], tuple[float, str]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all photos, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a folder a label")
    parser.add_argument("table", type=Path, help="the CSV file to write")
    parser.add_argument("--attributes", type=Path, help="a table with more about each photo")
    parser.add_argument("--sentence", default=SENTENCE, help=f"how to begin  [{SENTENCE}]")
    options = parser.parse_args(arguments)
    try:
        said = read_attributes(options.attributes) if options.attributes else {}
        count = write_captions(options.folder, options.table, said, options.sentence)
    except FaceverifyError as error:
        raise SystemExit(f"make_captions: {error}") from error
    print(f"{options.table}: {count:,} photos")


def write_captions(
    folder: Path, table: Path, said: dict[str, list[str]], sentence: str = SENTENCE
) -> int:
    """Write a caption for each photo of a labelled folder; returns how many.

    Args:
        folder: ``FOLDER/LABEL/photo.jpg``.
        table: to write, paths are relative to its folder.
        said: attributes of photos, by path, or by a file name that one photo has.
        sentence: how a caption begins, with {label}.

    Raises:
        UsageError: the sentence has other braces, the attributes are of other photos, or there is
            no photo to write of.
        ImageError: the folder cannot be read.
        OutputError: the table cannot be written.
    """
    try:
        sentence.format(label="")
    except (LookupError, ValueError) as error:
        raise UsageError(f"--sentence {sentence!r}: no sentence with {{label}} alone") from error
    people, detector = read_people(folder), Detector(bundled_folder())
    if not people.photos:
        raise UsageError(f"{folder}: found {people.lack}", cure="FOLDER/LABEL/photo.jpg")
    alike = Counter(photo.name for photo in people.photos)
    rows, known = [], 0
    for photo, label in zip(people.photos, people.names, strict=True):
        try:
            image = open_photo(photo).decode()
        except FaceverifyError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        begun = sentence.format(label=label.replace("_", " "))
        caption = ", ".join([begun, *measured(image, detector)])
        own = said.get(photo.relative_to(folder).as_posix())
        if own is None and alike[photo.name] == 1:
            own = said.get(photo.name)
        known += own is not None
        if own:
            caption += "; " + ", ".join(own)
        rows.append((os.path.relpath(photo, table.parent), caption))
    if said and not known:
        raise UsageError(
            f"the attributes are of none of the {len(people.photos):,} photos, such as "
            f"{people.photos[0].relative_to(folder)}; they name {next(iter(said))}"
        )
    if said:
        print(f"{known:,} of {len(rows):,} photos have attributes", file=sys.stderr)
    if not rows:
        raise UsageError(f"{folder}: no photo can be read")
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([("photo", "caption"), *rows])
    atomic_write(table, text.getvalue().encode())
    return len(rows)


def measured(image: Image.Image, detector: Detector) -> Iterator[str]:
    """What can be said of a photo without labels.

    Args:
        image: RGB.
        detector: finds the face, whose turn is told.
    """
    size = min(image.size)
    shown = image.copy()
    shown.thumbnail((LONGEST, LONGEST))
    pixels = np.asarray(shown, np.float32)
    yield from beyond(float(pixels.mean()), LIGHT)
    if np.percentile(np.ptp(pixels, axis=2), 99) <= GREY:
        yield "black and white"
    else:
        yield from beyond(colourfulness(pixels), COLOUR)
    yield from beyond(size, SIZE)
    faces = detector.detect(shown, min_face=20)
    if faces:
        turn = yaw(max(faces, key=lambda face: face.size))
        yield from beyond(turn, ((-TURNED, "turned to the left"), (TURNED, "turned to the right")))


def beyond(value: float, bounds: Bounds) -> Iterator[str]:
    """The word for a value below the lower or above the upper bound."""
    (low, below), (high, above) = bounds
    if value < low:
        yield below
    elif value > high:
        yield above


def colourfulness(pixels: NDArray[np.float32]) -> float:
    """Colourfulness: Hasler and Suesstrunk 2003, https://doi.org/10.1117/12.477378, eq. 11 to 13.

    Args:
        pixels: RGB, 0 to 255, (H, W, 3).
    """
    red, green, blue = np.moveaxis(pixels.astype(np.float64), 2, 0)
    first, second = red - green, (red + green) / 2 - blue
    spread = np.hypot(first.std(), second.std())
    return float(spread + 0.3 * np.hypot(first.mean(), second.mean()))


def yaw(face: Face) -> float:
    """Place of the nose right of the middle of the eyes, along their line, in eye distances."""
    left, right, nose, *_ = face.points.astype(np.float64)
    across = right - left
    return float((nose - (left + right) / 2) @ across / max(across @ across, 1e-9))


def read_attributes(path: Path) -> dict[str, list[str]]:
    """What a table says of each photo, by its path or file name.

    Raises:
        UsageError: it is no table, or names no photos.
    """

    def complain(message: str, cure: str) -> UsageError:
        return UsageError(message, cure=cure)

    lines = [line for line in table_text(path, complain=complain).split("\n") if line.strip()]
    heads = (at for at, line in enumerate(lines[:5]) if photo_of(cells(line)))
    start = next(heads, None)  # the table of LFW begins with its name, and # before the header
    if start is None:
        raise UsageError(
            f"{path}: found no column of photos ({', '.join(PHOTO)}; or person and imagenum)",
            cure="begin it with a header",
        )
    names = cells(lines[start])
    find, keys = photo_of(names), {*PHOTO, "person", "imagenum"}
    assert find is not None
    said = {}
    for number, line in enumerate(lines[start + 1 :], start + 2):
        row = cells(line)
        if len(row) != len(names):
            raise UsageError(f"{path}: found {len(row)} cells in row {number}, not {len(names)}")
        words = (
            word
            for name, value in zip(names, row, strict=True)
            if name.lower() not in keys
            for word in words_of(name, value)
        )
        said[find(row)] = list(words)
    return said


def cells(line: str) -> list[str]:
    """Cells of a line, by the separator that it has; of a header without its #."""
    bare = line.strip().removeprefix("#").lstrip("\t ")
    found = split_of(bare)(bare)
    return [str(cell).strip() for cell in found]


def photo_of(names: Sequence[str]) -> Callable[[Sequence[str]], str] | None:
    """From a row to its photo, by the names of the columns; None where there is none."""
    lower = [name.lower() for name in names]
    for word in PHOTO:
        if word in lower:
            at = lower.index(word)
            return lambda row: os.path.normpath(row[at]).replace(os.sep, "/")
    if {"person", "imagenum"} <= set(lower):
        person, number = lower.index("person"), lower.index("imagenum")

        def of_lfw(row: Sequence[str]) -> str:
            name = row[person].replace(" ", "_")
            return f"{name}/{name}_{int(row[number]):04}.jpg"

        return of_lfw
    return None


def words_of(name: str, value: str) -> list[str]:
    """What an attribute says: its name for a number above 0, a word as it is.

    >>> words_of("Wavy_Hair", "1.5"), words_of("Wavy_Hair", "-1"), words_of("mood", "smiling")
    (['wavy hair'], [], ['smiling'])
    """
    try:
        return [name.replace("_", " ").lower()] if float(value) > 0 else []
    except ValueError:
        return [value] if value else []


if __name__ == "__main__":
    main()
