"""Evaluate pooled templates (IJB-B/C): 1:1 verification and 1:N identification."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.figures import Evaluation, Figure, Section
from faceverify.evaluation.identification import identify
from faceverify.evaluation.score_figures import curve_section, data_section, threshold_section
from faceverify.evaluation.scores import count_scores
from faceverify.evaluation.templates import Templates, pool_templates, template_distances

if TYPE_CHECKING:
    from faceverify.evaluation.lists.ijb import Enrolment, TemplateMedia
    from faceverify.evaluation.lists.pair_list import PairList
    from faceverify.matching.operating_point import OperatingPoint

RANKS = (1, 5, 10)
FPIRS = (1e-1, 1e-2, 1e-3)


def pooled(
    media: TemplateMedia,
    embeddings: NDArray[np.float32],
    enrolled: NDArray[np.bool_],
    score: NDArray[np.float64] | None,
) -> Templates:
    """Pool the photos that have an embedding.

    Args:
        media: template and media of each of F photos.
        embeddings: as the model gives them, (F, D).
        enrolled: which photos have one, (F,).
        score: detector score of each photo, (F,); None weighs all alike.
    """
    return pool_templates(
        embeddings[enrolled],
        media.template[enrolled],
        media.media[enrolled],
        weight=None if score is None else score[enrolled],
    )


def evaluate_templates(
    pairs: PairList,
    templates: Templates,
    photos: int,
    failures: int,
    model: str,
    model_id: str,
    *,
    point: OperatingPoint | None = None,
) -> Evaluation:
    """Compare templates pair by pair (1:1); the lists name nobody, so bounds are Wilson's.

    Args:
        pairs: N pairs of template ids.
        templates: pooled.
        photos: how many there are.
        failures: how many of them have no embedding.
        model: its name.
        model_id: its id.
        point: the model's own threshold; None where it has none.
    """
    distances = template_distances(templates, pairs.first, pairs.second)
    counts = count_scores(distances, pairs.same)
    missing = len(set(map(int, pairs.images)) - set(templates.ids.tolist()))
    data = data_section(counts, photos, failures, None)
    lost = Figure("failed_templates", "templates without any face", missing, "count")
    sections = [Section(data.key, data.title, (*data.figures, lost)), curve_section(counts, None)]
    if point is not None:
        sections.append(threshold_section(counts, point.threshold, point.origin, None, None))
    return Evaluation(
        pairs.source, "templates", model, model_id, tuple(sections), (), counts,
        point.threshold if point else None,
    )  # fmt: skip


def identification_section(templates: Templates, gallery: Enrolment, probes: Enrolment) -> Section:
    """Search every probe in a gallery (1:N): rank-k and TPIR at FPIR.

    Raises:
        UsageError: no template of the gallery has an embedding.
    """
    known, known_people, _ = _rows(templates, gallery)
    searched, people, failed = _rows(templates, probes)
    found = identify(known, known_people, searched, people, failed_identities=failed)
    mated = int(found.mated.sum()) + found.failed_mated
    unmated = len(people) + len(failed) - mated
    figures = [
        Figure("gallery", "gallery templates", len(gallery.template), "count"),
        Figure("mated_probes", "probes whose person is in it", mated, "count"),
        Figure("unmated_probes", "probes whose person is not", unmated, "count"),
    ]
    figures += [Figure(f"rank_{k}", f"rank-{k} rate", found.rank_rate(k)) for k in RANKS]
    for fpir in FPIRS:
        value = found.tpir_at_fpir(fpir)
        why = "" if value is not None else f"{unmated:,} unmated probes allow under 10 errors"
        figures.append(Figure(f"tpir_at_{fpir:g}", f"TPIR at FPIR {fpir:g}", value, detail=why))
    return Section("identification", "Identification (1:N)", tuple(figures))


def _rows(
    templates: Templates, enrolment: Enrolment
) -> tuple[NDArray[np.float32], list[str], list[str]]:
    """Embeddings and people of the templates that have one, and the people of the others."""
    place = {int(template): index for index, template in enumerate(templates.ids)}
    listed = list(zip(enrolment.template, enrolment.identity, strict=True))
    rows = [place[template] for template, _ in listed if template in place]
    people = [person for template, person in listed if template in place]
    failed = [person for template, person in listed if template not in place]
    return templates.embeddings[rows], people, failed
