"""The whole of identification behind one class: a photo in, who of a gallery it shows out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from faceverify.errors import DIFFERENT, SAME, FaceverifyError, UsageError
from faceverify.gallery.audit import AuditLog
from faceverify.gallery.store import Candidate, Fusion, Store
from faceverify.gallery.template_count import TemplateCount
from faceverify.images import Source
from faceverify.matching.open_set import MEAN_MARGIN, OpenSetThreshold, open_set_threshold
from faceverify.templates import Template, TemplateExtractor

DEFAULT_FPIR = 0.01
DEFAULT_TOP = 5


@dataclass(frozen=True)
class Identification:
    """Who a face is, among the people of a gallery, or nobody, or why that cannot be told.

    Attributes:
        photo: what the user called the photo.
        model, model_id: name and id of the model.
        template: the face; None where there is none.
        face: its number among those of the photo, from 0.
        candidates: the nearest people, nearest first; those within the threshold match.
        threshold: where the search was operated.
        error: why nothing was decided.
    """

    photo: str
    model: str
    model_id: str
    template: Template | None = None
    face: int | None = None
    candidates: tuple[Candidate, ...] = ()
    threshold: OpenSetThreshold | None = None
    error: FaceverifyError | None = None

    def matches(self, candidate: Candidate) -> bool:
        """Whether a candidate is near enough."""
        return self.threshold is not None and candidate.distance <= self.threshold.distance

    @property
    def identified(self) -> str | None:
        """The person's name; None for nobody, and where nothing was decided."""
        nearest = self.candidates[:1]
        return nearest[0].name if nearest and self.matches(nearest[0]) else None

    @property
    def exit_status(self) -> int:
        """0 somebody, 1 nobody; else the error's own."""
        if self.error is not None:
            return self.error.exit_status
        return DIFFERENT if self.identified is None else SAME

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; the error as a code and a message."""
        template, threshold = self.template, self.threshold
        return {
            "photo": self.photo,
            "face": self.face,
            "box": template and [round(edge, 2) for edge in template.face.box],
            "quality": template and round(template.quality.score, 4),
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
            "threshold": threshold and threshold.distance,
            "fpir": threshold and threshold.fpir,
            "fmr": threshold and threshold.fmr,
            "templates": threshold and threshold.comparisons,
            "model": self.model,
            "model_id": self.model_id,
            "error": None if self.error is None else self.error.as_dict(),
        }

    def __str__(self) -> str:
        """One line for people."""
        if self.threshold is None:
            return f"no decision: {self.error}"
        nearest = [f"{one.name} {one.distance:.4f}" for one in self.candidates]
        rate = "" if self.threshold.fpir is None else f", FPIR {self.threshold.fpir:g}"
        where = (
            f"the threshold {self.threshold.distance:.4f} ({self.threshold.comparisons:,} "
            f"template{'s' * (self.threshold.comparisons != 1)}{rate})"
        )
        if self.identified is None:
            near = f"nearest {', '.join(nearest)}; above" if nearest else "nobody is enrolled;"
            return f"nobody: {near} {where}"
        (best, *others) = self.candidates
        text = f"{best.name}: distance {best.distance:.4f}, at most {where}"
        return f"{text}; then {', '.join(nearest[1:])}" if others else text


class Identifier:
    """Finds who of a gallery a photo shows; use it from one thread.

    Args:
        extractor: from photos to templates.
        store: the gallery.
        fpir: the false positive identification rate to keep: how often somebody who is not in the
            gallery may be taken for a person who is. The threshold follows the gallery's size.
        threshold: a cosine distance instead, in [0, 2].
        top: how many people are named at most.
        fusion: how a person's several templates make one distance.
        audit: told of every decision before anybody else is.

    Raises:
        GalleryError: the gallery's templates are of another model, or it cannot be read.
        ModelError: the model was not calibrated for so large a gallery.
        UsageError: a rate outside (0, 1].
    """

    def __init__(
        self,
        extractor: TemplateExtractor,
        store: Store,
        *,
        fpir: float = DEFAULT_FPIR,
        threshold: float | None = None,
        top: int = DEFAULT_TOP,
        fusion: Fusion = Fusion.MAX,
        audit: AuditLog | None = None,
    ) -> None:
        if not 0 < fpir <= 1:
            raise UsageError(f"--fpir {fpir:g}: expected a rate above 0, such as 0.01")
        self.extract = extractor.extract
        self._store = store
        self._model = extractor.model
        self._fpir = fpir
        self._by_hand = threshold
        self._top = top
        self._fusion = fusion
        self._margin = MEAN_MARGIN if fusion is Fusion.MEAN else 1.0
        self._audit = audit
        self._count = TemplateCount(store, extractor.model)
        self.threshold()

    def threshold(self) -> OpenSetThreshold:
        """Where a search is operated now; it follows the gallery as that grows.

        Raises:
            ModelError: the gallery has outgrown the model's calibration.
        """
        count = self._count()
        if self._by_hand is not None:
            return OpenSetThreshold(self._by_hand, count)
        points = [(one.fmr, one.distance) for one in self._model.thresholds]
        name = self._model.provenance.name
        return open_set_threshold(points, self._fpir, count, model=name, margin=self._margin)

    def identify(self, photo: Source) -> list[Identification]:
        """Tell who the faces meant are: one answer a face, at least one.

        Raises:
            ImageError, NoDecisionError: as :meth:`TemplateExtractor.extract`.
            GalleryError: the gallery cannot be searched.
        """
        return self.search(self.extract(photo))

    def search(self, templates: list[Template]) -> list[Identification]:
        """Tell who the faces of a photo are."""
        queries = np.stack([template.embedding for template in templates])
        found = self._store.search(queries, self._top, model=self._model.id, fusion=self._fusion)
        threshold = self.threshold()
        answers = [
            Identification(
                template.photo,
                self._model.provenance.name,
                self._model.id,
                template,
                number,
                tuple(candidates),
                threshold,
            )
            for number, (template, candidates) in enumerate(zip(templates, found, strict=True))
        ]
        if self._audit is not None:
            self._audit.append_all(("identify", facts(answer)) for answer in answers)
        return answers

    def undecided(self, photo: str, error: FaceverifyError) -> Identification:
        """The answer about a photo that gave no face."""
        return Identification(photo, self._model.provenance.name, self._model.id, error=error)


def facts(answer: Identification) -> dict[str, Any]:
    """What an audit log keeps of a decision."""
    told = answer.as_dict()
    kept = ("photo", "face", "identified", "threshold", "fpir", "templates", "model_id")
    nearest = answer.candidates[0].distance if answer.candidates else None
    return {
        **{key: told[key] for key in kept},
        "distance": None if nearest is None else round(nearest, 6),
    }
