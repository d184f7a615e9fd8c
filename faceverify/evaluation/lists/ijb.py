"""Lists of IJB-B and IJB-C: Whitelam et al., 2017; Maze et al., 2018.

``*_template_pair_label.txt``: pairs of templates; ``*_face_tid_mid.txt``: their photos;
``*_name_5pts_score.txt``: detections; CSV files: templates of galleries and probes.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.lists.list_format import ListFile, ListFormat, Listing
from faceverify.evaluation.lists.pair_list import line_format
from faceverify.evaluation.lists.rows import (
    Lines,
    Row,
    integer,
    label,
    read_lines,
    wrong_line,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, eq=False)
class TemplateMedia(Listing):
    """Template and media (a still, or a video) of each photo.

    Args:
        image: names of F photos.
        template, media: ids, (F,) each.
    """

    image: list[str]
    template: NDArray[np.int64]
    media: NDArray[np.int64]

    @property
    def facts(self) -> dict[str, int]:
        """Counts by name, in printing order."""
        return {
            "photos": len(self.image),
            "templates": len(np.unique(self.template)),
            "media": len(np.unique(self.media)),
        }


@dataclass(frozen=True, eq=False)
class FacePoints(Listing):
    """The detection in each photo.

    Args:
        image: names of F photos.
        points: x, y of eyes, nose and mouth corners, in pixels, (F, 5, 2).
        score: detector confidence, (F,).
    """

    image: list[str]
    points: NDArray[np.float64]
    score: NDArray[np.float64]

    @property
    def facts(self) -> dict[str, int]:
        """Counts by name, in printing order."""
        return {"photos": len(self.image)}


@dataclass(frozen=True, eq=False)
class Enrollment:
    """Ids and identities of the T templates of a gallery, or of probes."""

    template: list[int]
    identity: list[str]


def ijb_pairs(path: Path, lines: Lines) -> Iterator[Row]:
    """Rows of lines ``TEMPLATE TEMPLATE 0|1`` with template ids."""
    for number, text in lines:
        fields = text.split()
        if len(fields) != 3:
            raise wrong_line(
                path, number, f"{len(fields)} fields", "TEMPLATE TEMPLATE 0|1", "correct the line"
            )
        first, second = (str(integer(path, number, id_, "a template id")) for id_ in fields[:2])
        yield Row(number, first, second, label(path, number, fields[2]))


def read_template_media(path: Path) -> TemplateMedia:
    """Templates and media from lines ``IMAGE TEMPLATE MEDIA``.

    Raises:
        PairListError: ``file:line: found ..., expected ...``.
    """
    images, ids = [], []
    for line, text in read_lines(path):
        fields = text.split()
        if len(fields) != 3:
            raise wrong_line(path, line, repr(text), "IMAGE TEMPLATE MEDIA", "correct the line")
        images.append(fields[0])
        ids.append([integer(path, line, field, "an integer id") for field in fields[1:]])
    template, media = np.array(ids, np.int64).T
    return TemplateMedia(images, template, media)


def read_points(path: Path) -> FacePoints:
    """Detections from lines ``IMAGE x1 y1 ... x5 y5 SCORE``.

    Raises:
        PairListError: ``file:line: found ..., expected ...``.
    """
    images, values = [], []
    for line, text in read_lines(path):
        fields = text.split()
        try:
            numbers = [float(field) for field in fields[1:]]
        except ValueError:
            numbers = []
        if len(numbers) != 11 or not np.isfinite(numbers).all():
            raise wrong_line(path, line, repr(text), "IMAGE, 10 numbers, SCORE", "correct the line")
        images.append(fields[0])
        values.append(numbers)
    table = np.array(values)  # (F, 11)
    return FacePoints(images, table[:, :10].reshape(-1, 5, 2), table[:, 10])


def read_enrollment(path: Path) -> Enrollment:
    """Templates and subjects from the first two columns of a CSV, with or without a header.

    A template may be listed several times, once for each of its photos.

    Raises:
        PairListError: ``file:line: found ..., expected ...``, also for a template of two subjects.
    """
    subject_of: dict[int, str] = {}
    lines = read_lines(path)
    for line, text in lines:
        fields = next(csv.reader([text]))
        if line == lines[0][0] and fields and not fields[0].strip().isdigit():
            continue
        if len(fields) < 2 or not fields[1].strip():
            raise wrong_line(path, line, repr(text), "TEMPLATE_ID,SUBJECT_ID", "correct the line")
        template = integer(path, line, fields[0].strip(), "a template id")
        subject = fields[1].strip()
        if subject_of.setdefault(template, subject) != subject:
            known = subject_of[template]
            raise wrong_line(
                path, line, f"template {template} of {subject}", f"of {known}", "remove one"
            )
    return Enrollment(list(subject_of), list(subject_of.values()))


def _is_pairs(file: ListFile) -> bool:
    ends = {fields[-1] for fields in file.head if fields}
    return file.numeric and len(file.head[0]) == 3 and not file.tabs and ends <= {"0", "1"}


def _is_media(file: ListFile) -> bool:
    first = file.head[0]
    return len(first) == 3 and "." in first[0] and first[1].isdigit() and not file.tabs


def _is_points(file: ListFile) -> bool:
    numbers = file.head[0][1:]
    return len(numbers) == 11 and all(
        re.fullmatch(r"-?[0-9.]+(e-?[0-9]+)?", text) for text in numbers
    )


PAIRS = line_format("ijb", "IJB template pairs", _is_pairs, ijb_pairs)
MEDIA = ListFormat(
    "ijb-media",
    "IJB list of photo, template, media (no pairs)",
    _is_media,
    lambda path, _: read_template_media(path),
    pairs=False,
)
POINTS = ListFormat(
    "ijb-points",
    "IJB list of photo, five points, detector score (no pairs)",
    _is_points,
    lambda path, _: read_points(path),
    pairs=False,
)
