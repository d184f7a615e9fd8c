"""``faceverify evaluate --protocol templates``: the IJB-B/C way, of photos pooled in templates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faceverify.errors import PairListError, UsageError

if TYPE_CHECKING:
    from faceverify.embedding_sources import EmbeddingSource
    from faceverify.evaluation.figures import Evaluation
    from faceverify.photo_embeddings import PhotoEmbeddings


@dataclass(frozen=True)
class TemplateLists:
    """The files of an IJB evaluation.

    Args:
        pairs: lines ``T1 T2 0|1``.
        media: lines ``PHOTO TEMPLATE MEDIA``; None is an error that names the flag.
        points: lines with detector scores; None weighs all photos alike.
        gallery: CSV files of gallery templates; none leaves identification out.
        probes: a CSV file of probe templates.
        images: folder of the photos.
        embeddings: ready ones, ``.npy`` by position or of ``faceverify embed`` by name.
    """

    pairs: Path
    media: Path | None
    points: Path | None
    gallery: Sequence[Path]
    probes: Path | None
    images: Path | None
    embeddings: Path | None


def measure_templates(
    lists: TemplateLists,
    model: str | None,
    of_model: Callable[[str], EmbeddingSource],
    fmr: float,
    threshold: float | None,
    say: Callable[[str], None],
) -> Evaluation:
    """Pool photos into templates and compare them.

    Args:
        say: gets messages of one line.

    Raises:
        UsageError: a file is missing from the options.
        PairListError: a list is damaged, or photos are missing.
    """
    from faceverify.embedding_sources import EmbeddingSource, ListedPhotos, file_source
    from faceverify.evaluation.feature_files import read_features
    from faceverify.evaluation.lists.ijb import read_enrolment, read_points, read_template_media
    from faceverify.evaluation.lists.reading import read_pairs
    from faceverify.evaluation.template_evaluation import (
        evaluate_templates,
        identification_section,
        pooled,
    )
    from faceverify.photo_embeddings import PhotoEmbeddings

    if lists.media is None:
        raise UsageError("protocol templates needs --media FILE (face_tid_mid)")
    if bool(lists.gallery) != (lists.probes is not None):
        raise UsageError("identification needs both --gallery and --probes")
    pairs, media = read_pairs(lists.pairs, kind="ijb"), read_template_media(lists.media)
    score = None
    if lists.points is not None:
        points = read_points(lists.points)
        if points.image != media.image:
            raise PairListError(
                f"{lists.points}: found other photos, or in another order, than {lists.media}",
                cure="use lists that belong together",
            )
        score = points.score
    if lists.embeddings is not None and lists.embeddings.suffix.lower() == ".npy":
        rows = read_features(lists.embeddings, len(media.image))
        enrolled = np.any(rows != 0, axis=1)
        failure = ["" if ok else "zero-embedding" for ok in enrolled]

        def given(_: ListedPhotos) -> PhotoEmbeddings:
            return PhotoEmbeddings(rows, failure, [None] * len(failure))

        source = EmbeddingSource(lists.embeddings.name, "unknown", None, given)
    elif lists.embeddings is not None:
        source = file_source(lists.embeddings, model, say)
    else:
        source = of_model(model or "default")
    folder = lists.images or lists.media.parent
    files = [folder / image for image in media.image]
    if lists.embeddings is None:
        require_files(str(lists.media), files)
    photos = source.embed(ListedPhotos(list(files), media.image))
    refuse_empty(photos, str(lists.media))
    point = source.operating_point(fmr, threshold)
    templates = pooled(media, photos.embeddings, photos.enrolled, score)
    found = evaluate_templates(
        pairs, templates, len(media.image), int(np.count_nonzero(~photos.enrolled)),
        source.name, source.model_id, point=point,
    )  # fmt: skip
    if lists.probes is None:
        return found
    probes = read_enrolment(lists.probes)
    searches = tuple(
        replace(
            section,
            key=f"identification_{index}" if len(lists.gallery) > 1 else section.key,
            title=f"{section.title}, gallery {gallery.name}",
        )
        for index, gallery in enumerate(lists.gallery, start=1)
        for section in [identification_section(templates, read_enrolment(gallery), probes)]
    )
    return replace(found, sections=(*found.sections, *searches))


def require_files(source: str, files: Sequence[Path]) -> None:
    """Raise a PairListError that says how many photos are missing, and which."""
    missing = [file for file in files if not file.is_file()]
    if missing:
        named = ", ".join(map(str, missing[:3])) + (", ..." if len(missing) > 3 else "")
        raise PairListError(
            f"{source}: found {len(missing)} of {len(files)} photos missing ({named})",
            cure="name the right --images, or give --embeddings",
        )


def refuse_empty(photos: PhotoEmbeddings, source: str) -> None:
    """UsageError where no photo has an embedding."""
    if not photos.enrolled.any():
        raise UsageError(f"{source}: no photo has an embedding", cure="check photos and --aligned")
