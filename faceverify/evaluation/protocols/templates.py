"""Protocol ``templates``: verification (1:1) and identification (1:N) of IJB-B/C."""

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
    calibration_notes,
    curve_section,
    data_section,
    threshold_section,
)
from faceverify.evaluation.protocols.template_pooling import (
    Templates,
    pool_templates,
    template_distances,
)
from faceverify.evaluation.results import Estimate, Evaluation, Section

if TYPE_CHECKING:
    from faceverify.evaluation.lists.ijb import Enrollment
    from faceverify.evaluation.protocols.template_benchmark import TemplateBenchmark

RANKS = (1, 5, 10)
FPIRS = (1e-1, 1e-2, 1e-3)


def evaluate(benchmark: TemplateBenchmark, photos: EmbeddedPhotos, _: Settings) -> Measurement:
    """Evaluation of pooled templates: listed pairs (1:1), and searches in galleries (1:N).

    The pair lists have no identities, so intervals are Wilson's.

    Args:
        benchmark: of F photos.
        photos: their embeddings, not normalised.

    Raises:
        UsageError: no photo, or no template of a gallery, has an embedding.
    """
    enrolled, media, point = photos.enrolled, benchmark.media, photos.point
    if not enrolled.any():
        raise UsageError(
            f"{benchmark.source}: no photo has an embedding", cure="check photos and --aligned"
        )
    templates = pool_templates(
        photos.embeddings[enrolled],
        media.template[enrolled],
        media.media[enrolled],
        weight=None if benchmark.score is None else benchmark.score[enrolled],
    )
    distances = template_distances(templates, benchmark.pairs.first, benchmark.pairs.second)
    counts = count_scores(distances, benchmark.pairs.same)
    missing = len(set(map(int, benchmark.pairs.images)) - set(templates.ids.tolist()))
    data = data_section(counts, len(enrolled), photos.failures, None)
    lost = Estimate("failed_templates", "templates without any face", missing, "count")
    sections = [Section(data.key, data.title, (*data.estimates, lost)), curve_section(counts, None)]
    notes = [*photos.notes, *calibration_notes(point)]
    if point is not None:
        pooled = int(np.count_nonzero(templates.photos > 1))
        origin = point.origin
        if pooled and point.fmr is not None:
            origin = f"{origin} of single photos"
            notes.append(
                f"{pooled:,} of {len(templates.ids):,} templates pool several photos (at most "
                f"{templates.photos.max():,}), and templates lie nearer to each other than photos "
                f"do: the FMR of {point.fmr:g} is no promise about them, the measured one is theirs"
            )
        sections.append(threshold_section(counts, point.threshold, origin, None, None))
    for number, (name, gallery) in enumerate(benchmark.galleries, start=1):
        assert benchmark.probes is not None
        found = identification_section(templates, gallery, benchmark.probes)
        key = f"{found.key}_{number}" if len(benchmark.galleries) > 1 else found.key
        sections.append(Section(key, f"{found.title}, gallery {name}", found.estimates))
    return Measurement(
        Evaluation(
            source=benchmark.source,
            protocol="templates",
            model=photos.model,
            model_id=photos.model_id,
            sections=tuple(sections),
            notes=tuple(notes),
            counts=counts,
            threshold=point.threshold if point else None,
        )
    )


def identification_section(
    templates: Templates, gallery: Enrollment, probes: Enrollment
) -> Section:
    """Estimates of an identification (1:N): rank-k rate, and TPIR at FPIR.

    Raises:
        UsageError: no template of the gallery has an embedding.
    """
    known, known_people, _ = _rows(templates, gallery)
    searched, people, failed = _rows(templates, probes)
    found = identify(known, known_people, searched, people, failed_identities=failed)
    mated = int(found.mated.sum()) + found.failed_mated
    unmated = len(people) + len(failed) - mated
    estimates = [
        Estimate("gallery", "gallery templates", len(gallery.template), "count"),
        Estimate("mated_probes", "probes whose person is in it", mated, "count"),
        Estimate("unmated_probes", "probes whose person is not", unmated, "count"),
    ]
    estimates += [Estimate(f"rank_{k}", f"rank-{k} rate", found.rank_rate(k)) for k in RANKS]
    for fpir in FPIRS:
        value = found.tpir_at_fpir(fpir)
        why = "" if value is not None else f"{unmated:,} unmated probes allow under 10 errors"
        estimates.append(Estimate(f"tpir_at_{fpir:g}", f"TPIR at FPIR {fpir:g}", value, detail=why))
    return Section("identification", "Identification (1:N)", tuple(estimates))


def _rows(
    templates: Templates, enrollment: Enrollment
) -> tuple[NDArray[np.float32], list[str], list[str]]:
    """Embeddings and identities of the enrolled templates, and identities of the failed ones."""
    place = {int(template): index for index, template in enumerate(templates.ids)}
    listed = list(zip(enrollment.template, enrollment.identity, strict=True))
    rows = [place[template] for template, _ in listed if template in place]
    people = [person for template, person in listed if template in place]
    failed = [person for template, person in listed if template not in place]
    return templates.embeddings[rows], people, failed


PROTOCOL = Protocol(Needs.TEMPLATES, evaluate, tolerant=False)
