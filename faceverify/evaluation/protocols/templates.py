"""Protocol ``templates``: 1:1 verification and 1:N identification of IJB-B/C."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.identification import identify
from faceverify.evaluation.metrics.scores import count_scores
from faceverify.evaluation.protocols.protocol import (
    EmbeddedPhotos,
    Measurement,
    Needs,
    Protocol,
    Settings,
)
from faceverify.evaluation.protocols.score_sections import (
    curve_section,
    data_section,
    threshold_section,
)
from faceverify.evaluation.protocols.template_pooling import (
    Templates,
    pool_templates,
    template_distances,
)
from faceverify.evaluation.results import Evaluation, Figure, Section

if TYPE_CHECKING:
    from faceverify.evaluation.lists.ijb import Enrolment
    from faceverify.evaluation.protocols.template_task import TemplateTask

RANKS = (1, 5, 10)
FPIRS = (1e-1, 1e-2, 1e-3)


def evaluate(task: TemplateTask, photos: EmbeddedPhotos, _: Settings) -> Measurement:
    """Pool photos into templates, compare these pair by pair (1:1), and search them (1:N).

    The lists of pairs name nobody, so bounds are Wilson's.

    Args:
        task: of F photos.
        photos: of the task, embedded as the model gives them.

    Raises:
        UsageError: no photo, or no template of a gallery, has an embedding.
    """
    enrolled, media, point = photos.enrolled, task.media, photos.point
    if not enrolled.any():
        raise UsageError(
            f"{task.source}: no photo has an embedding", cure="check photos and --aligned"
        )
    templates = pool_templates(
        photos.embeddings[enrolled],
        media.template[enrolled],
        media.media[enrolled],
        weight=None if task.score is None else task.score[enrolled],
    )
    distances = template_distances(templates, task.pairs.first, task.pairs.second)
    counts = count_scores(distances, task.pairs.same)
    missing = len(set(map(int, task.pairs.images)) - set(templates.ids.tolist()))
    data = data_section(counts, len(enrolled), photos.failures, None)
    lost = Figure("failed_templates", "templates without any face", missing, "count")
    sections = [Section(data.key, data.title, (*data.figures, lost)), curve_section(counts, None)]
    if point is not None:
        sections.append(threshold_section(counts, point.threshold, point.origin, None, None))
    for number, (name, gallery) in enumerate(task.galleries, start=1):
        assert task.probes is not None
        found = identification_section(templates, gallery, task.probes)
        key = f"{found.key}_{number}" if len(task.galleries) > 1 else found.key
        sections.append(Section(key, f"{found.title}, gallery {name}", found.figures))
    return Measurement(
        Evaluation(
            source=task.source,
            protocol="templates",
            model=photos.model,
            model_id=photos.model_id,
            sections=tuple(sections),
            counts=counts,
            threshold=point.threshold if point else None,
        )
    )


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


PROTOCOL = Protocol(Needs.TEMPLATES, evaluate, tolerant=False)
