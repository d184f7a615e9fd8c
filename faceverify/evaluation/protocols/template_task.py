"""What an IJB evaluation is about: photos pooled in templates, their pairs, and searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import PairListError, UsageError
from faceverify.evaluation.lists.ijb import (
    Enrolment,
    TemplateMedia,
    read_enrolment,
    read_points,
    read_template_media,
)
from faceverify.evaluation.lists.pair_list import PairList
from faceverify.evaluation.lists.reading import read_pairs


@dataclass(frozen=True, eq=False)
class TemplateTask:
    """An evaluation to be made of F photos.

    Args:
        source: the list of pairs.
        photos: files, F.
        media: template and media of each, and what the list calls it.
        pairs: N pairs of template ids.
        score: detector score of each photo, (F,); None weighs all alike.
        galleries: to be searched, by the names of their files.
        probes: to be searched for; None where there is nothing to search.
    """

    source: str
    photos: list[Path | bytes]
    media: TemplateMedia
    pairs: PairList
    score: NDArray[np.float64] | None
    galleries: list[tuple[str, Enrolment]]
    probes: Enrolment | None
    protocol: str = "templates"

    @property
    def names(self) -> list[str]:
        """What the list calls the photos, F."""
        return self.media.image


def read_template_task(
    pairs: Path,
    media: Path | None,
    *,
    points: Path | None = None,
    galleries: Sequence[Path] = (),
    probes: Path | None = None,
    images: Path | None = None,
    check_files: bool = True,
) -> TemplateTask:
    """Read the files of an IJB evaluation.

    Args:
        pairs: lines ``T1 T2 0|1``.
        media: lines ``PHOTO TEMPLATE MEDIA``; None is an error that names the flag.
        points: lines with detector scores; None weighs all photos alike.
        galleries: CSV files of gallery templates; none leaves identification out.
        probes: a CSV file of probe templates.
        images: folder of the photos; None for that of ``media``.
        check_files: whether missing photos are an error; not where embeddings are ready.

    Raises:
        UsageError: a file is missing from the options.
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
    return TemplateTask(
        str(pairs),
        files,
        photos,
        listed,
        score,
        [(gallery.name, read_enrolment(gallery)) for gallery in galleries],
        None if probes is None else read_enrolment(probes),
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
