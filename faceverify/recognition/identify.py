"""Identification, one to many: which enrolled person does a photo show, if any?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from faceverify.choices import Fusion
from faceverify.embeddings.extractor import FaceEmbedder, FaceEmbedding
from faceverify.errors import DIFFERENT, SAME, FaceverifyError, UsageError
from faceverify.gallery.audit import AuditLog
from faceverify.gallery.store import Candidate, Store
from faceverify.images.photo import Source
from faceverify.matching.operating_point import OperatingPoint
from faceverify.matching.threshold import MEAN_MARGIN, identification_point, point_at_quality
from faceverify.recognition.operator import Operator
from faceverify.recognition.template_count import TemplateCount

DEFAULT_FPIR = 0.01
DEFAULT_TOP = 5


@dataclass(frozen=True)
class Identification:
    """Identification result of a face: its candidates, or the error.

    Attributes:
        photo: path of the photo as the user gave it.
        point: operating point of the search.
        probe: the embedded face; None if there is none.
        face: index of the face in the photo, from 0.
        candidates: the nearest people, nearest first; those within the threshold match.
        error: why there is no decision; else None.
    """

    photo: str
    point: OperatingPoint
    probe: FaceEmbedding | None = None
    face: int | None = None
    candidates: tuple[Candidate, ...] = ()
    error: FaceverifyError | None = None

    def matches(self, candidate: Candidate) -> bool:
        """Whether a candidate's distance is within the threshold."""
        return candidate.distance <= self.point.threshold

    @property
    def identified(self) -> str | None:
        """Name of the identified person; None without a match or a decision."""
        nearest = self.candidates[:1]
        return nearest[0].name if nearest and self.matches(nearest[0]) else None

    @property
    def exit_status(self) -> int:
        """0 for a match, 1 for none; the error's exit status if there is one."""
        if self.error is not None:
            return self.error.exit_status
        return DIFFERENT if self.identified is None else SAME

    def as_dict(self) -> dict[str, Any]:
        """JSON values; the error as a code and a message."""
        probe, point = self.probe, self.point if self.error is None else None
        return {
            "photo": self.photo,
            "face": self.face,
            "box": probe and [round(edge, 2) for edge in probe.face.box],
            "quality": probe and round(probe.quality.score, 4),
            "turned": probe and probe.face.turned,
            "identified": self.identified,
            "candidates": [
                {
                    "name": one.name,
                    "distance": round(one.distance, 6),
                    "match": self.matches(one),
                    "template": one.sequence,
                }
                for one in self.candidates
            ],
            "threshold": point and point.threshold,
            "fpir": point and point.fpir,
            "fmr": point and point.fmr,
            "templates": point and point.comparisons,
            "model": self.point.model,
            "model_id": self.point.model_id,
            "error": None if self.error is None else self.error.as_dict(),
        }

    def facts(self) -> dict[str, Any]:
        """Audit log entry."""
        values = self.as_dict()
        kept = ("photo", "face", "identified", "threshold", "fpir", "templates", "model_id")
        nearest = self.candidates[0].distance if self.candidates else None
        return {
            **{key: values[key] for key in kept},
            "distance": None if nearest is None else round(nearest, 6),
        }

    def __str__(self) -> str:
        """One line for people."""
        if self.error is not None:
            return f"no decision: {self.error}"
        point = self.point
        nearest = [f"{one.name} {one.distance:.4f}" for one in self.candidates]
        rate = "" if point.fpir is None else f", FPIR {point.fpir:g}"
        where = (
            f"the threshold {point.threshold:.4f} ({point.comparisons:,} "
            f"template{'s' * (point.comparisons != 1)}{rate})"
        )
        if self.identified is None:
            near = f"nearest {', '.join(nearest)}; above" if nearest else "nobody is enrolled;"
            return f"nobody: {near} {where}"
        (best, *others) = self.candidates
        text = f"{best.name}: distance {best.distance:.4f}, at most {where}"
        return f"{text}; then {', '.join(nearest[1:])}" if others else text


class Identifier(Operator[Source, "list[FaceEmbedding]", "list[Identification]"]):
    """One-to-many search with a decision; thread-safe.

    Args:
        extractor: photos to embeddings.
        store: the gallery.
        fpir: false positive identification rate, in (0, 1]: share of searches for people who are
            not enrolled that may return a match. The threshold depends on the gallery's size.
        threshold: cosine distance in [0, 2], in place of ``fpir``.
        top: maximum number of candidates.
        fusion: fusion of the distances to a person's templates.
        audit: log that receives each decision before it is returned; None for no log.

    Raises:
        GalleryError: the gallery's templates are of another model, or it cannot be read.
        ModelError: the model was not calibrated for so large a gallery.
        UsageError: a rate outside (0, 1].
    """

    def __init__(
        self,
        extractor: FaceEmbedder,
        store: Store,
        *,
        fpir: float = DEFAULT_FPIR,
        threshold: float | None = None,
        top: int = DEFAULT_TOP,
        fusion: Fusion = Fusion.MAX,
        audit: AuditLog | None = None,
    ) -> None:
        super().__init__(extractor, audit)
        if not 0 < fpir <= 1:
            raise UsageError(f"--fpir {fpir:g}: expected a rate above 0, such as 0.01")
        self._store = store
        self._fpir = fpir
        self._by_hand = threshold
        self._top = top
        self._fusion = fusion
        self._count = TemplateCount(store, extractor.model)
        self.point = self._point_now()

    def identify(self, photo: Source) -> list[Identification]:
        """Identify the selected faces of a photo: one result a face, at least one.

        Raises:
            ImageError, NoDecisionError: as :meth:`FaceEmbedder.extract`.
            GalleryError: the gallery cannot be searched.
            ModelError: the gallery is larger than the model was calibrated for.
            OutputError: the audit log cannot be written.
        """
        return self.answer(photo)

    def undecided(self, question: Source, error: FaceverifyError) -> list[Identification]:
        """Result of a photo without a usable face."""
        return [Identification(str(question), self.point, error=error)]

    def _prepare(self, question: Source) -> list[FaceEmbedding]:
        return self._extract(question)

    def _decide(self, question: Source, prepared: list[FaceEmbedding]) -> list[Identification]:
        queries = np.stack([probe.embedding for probe in prepared])
        found = self._store.search(queries, self._top, model=self.model.id, fusion=self._fusion)
        self.point = self._point_now()  # it depends on the gallery's size
        answers = [
            Identification(
                probe.photo,
                point_at_quality(self.point, self.model.calibration, probe.quality.score),
                probe,
                number,
                tuple(candidates),
            )
            for number, (probe, candidates) in enumerate(zip(prepared, found, strict=True))
        ]
        self._log("identify", (answer.facts() for answer in answers))
        return answers

    def _point_now(self) -> OperatingPoint:
        count = self._count()
        name, model_id = self.model.provenance.name, self.model.id
        if self._by_hand is not None:
            return OperatingPoint(self._by_hand, name, model_id, comparisons=count)
        return identification_point(
            self.model.calibration,
            self._fpir,
            count,
            model=name,
            model_id=model_id,
            margin=MEAN_MARGIN if self._fusion is Fusion.MEAN else 1.0,
        )
