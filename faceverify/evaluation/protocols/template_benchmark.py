"""IJB benchmarks: photos in templates, pairs of templates, galleries and probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import PairListError, UsageError
from faceverify.evaluation.lists.ijb import (
    Enrollment,
    TemplateMedia,
    read_enrollment,
    read_points,
    read_template_media,
)
from faceverify.evaluation.lists.pair_list import PairList
from faceverify.evaluation.lists.reading import read_pairs


@dataclass(frozen=True, eq=False)
class TemplateBenchmark:
    """An IJB benchmark of F photos.

    Args:
        source: the list of pairs.
        photos: files, F.
        media: name, template and media of each photo.
        pairs: N pairs of template ids.
        score: detector score of each photo, (F,); None for equal weights.
        galleries: name of the file, and templates of each gallery.
        probes: templates of the probes; None without galleries.
    """

    source: str
    photos: list[Path | bytes]
    media: TemplateMedia
    pairs: PairList
    score: NDArray[np.float64] | None
    galleries: list[tuple[str, Enrollment]]
    probes: Enrollment | None
    protocol: str = "templates"

    @property
    def names(self) -> list[str]:
        """Names of the photos in the list, F."""
        return self.media.image


def read_template_benchmark(
    pairs: Path,
    media: Path | None,
    *,
    points: Path | None = None,
    galleries: Sequence[Path] = (),
    probes: Path | None = None,
    images: Path | None = None,
    check_files: bool = True,
) -> TemplateBenchmark:
    """The benchmark of a set of IJB files.

    Args:
        pairs: lines ``T1 T2 0|1``.
        media: lines ``PHOTO TEMPLATE MEDIA``; None is an error that names the flag.
        points: lines with detector scores; None for equal weights.
        galleries: CSV files of gallery templates; none leaves identification out.
        probes: a CSV file of probe templates.
        images: folder of the photos; None for the folder of ``media``.
        check_files: whether missing photos are an error; False with precomputed embeddings.

    Raises:
        UsageError: a required file is not given.
        PairListError: a list is damaged, or photos are missing.
    """
    if media is None:
        raise UsageError("protocol templates needs --media FILE (face_tid_mid)")
    if bool(galleries) != (probes is not None):
        raise UsageError("identification needs both --gallery and --probes")
    listed, photos = read_pairs(pairs, kind="ijb"), read_template_media(media)
    score = None
    if points is not None:
        faces = read_points(points)
        if faces.image != photos.image:
            raise PairListError(
                f"{points}: found other photos, or in another order, than {media}",
                cure="use lists that belong together",
            )
        score = faces.score
    files: list[Path | bytes] = [(images or media.parent) / image for image in photos.image]
    if check_files:
        _require(str(media), files)
    return TemplateBenchmark(
        str(pairs),
        files,
        photos,
        listed,
        score,
        [(gallery.name, read_enrollment(gallery)) for gallery in galleries],
        None if probes is None else read_enrollment(probes),
    )


def _require(source: str, files: Sequence[Path | bytes]) -> None:
    """Raise a PairListError that says how many photos are missing, and which."""
    missing = [str(file) for file in files if isinstance(file, Path) and not file.is_file()]
    if missing:
        named = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise PairListError(
            f"{source}: found {len(missing)} of {len(files)} photos missing ({named})",
            cure="name the right --images, or give --embeddings",
        )
