"""Verification of identity claims: does a photo show the person enrolled under a name?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceverify.choices import Fusion
from faceverify.embeddings.extractor import FaceEmbedder
from faceverify.errors import FaceverifyError, GalleryError, ModelError
from faceverify.gallery.audit import AuditLog
from faceverify.gallery.names import checked_name, unknown_name
from faceverify.gallery.store import Store, StoredTemplate
from faceverify.images.photo import Source
from faceverify.matching.decision import Decision
from faceverify.matching.distance import cosine_distance
from faceverify.matching.fusion import mean_direction
from faceverify.matching.operating_point import DEFAULT_FMR, OperatingPoint
from faceverify.matching.threshold import MEAN_MARGIN, distance_at, point_at_quality
from faceverify.recognition.operator import Operator
from faceverify.recognition.template_count import templates_of

Claim = tuple[Source, str]


@dataclass(frozen=True)
class ClaimDecision(Decision):
    """Decision about a claim: photo (a) against the person enrolled under a name (b).

    Attributes:
        templates: number of the person's templates; None without a decision.
    """

    templates: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        values = super().as_dict()
        photo, name = values.pop("a"), values.pop("b")
        quality, turned = values.pop("quality_a"), values.pop("turned_a")
        del values["quality_b"], values["turned_b"]
        head = {"photo": photo, "claim": name, "templates": self.templates}
        head |= {"quality": quality, "turned": turned}
        return {**head, **values}

    def facts(self) -> dict[str, Any]:
        """Audit log entry."""
        values = self.as_dict()
        kept = ("photo", "claim", "same", "distance", "threshold", "fmr", "model_id")
        return {key: values[key] for key in kept}


class ClaimVerifier(Operator[Claim, ClaimDecision, ClaimDecision]):
    """Claim verification, one to one; thread-safe.

    The false match rate of a claim against n templates is at most n times that of one comparison
    (union bound). So each comparison is run at ``fmr`` / n, at a distance interpolated between the
    calibrated ones.

    Args:
        extractor: photos to embeddings, one face each.
        store: the gallery.
        fmr: false match rate of a claim; one that the model was calibrated for.
        threshold: cosine distance in [0, 2], in place of ``fmr``.
        fusion: fusion of the distances to a person's templates.
        audit: log that receives each decision before it is returned; None for no log.

    Raises:
        UsageError: the extractor returns all faces of a photo.
        GalleryError: the gallery's templates are of another model.
        ModelError: the model was not calibrated for the rate.
    """

    def __init__(
        self,
        extractor: FaceEmbedder,
        store: Store,
        *,
        fmr: float = DEFAULT_FMR,
        threshold: float | None = None,
        fusion: Fusion = Fusion.MAX,
        audit: AuditLog | None = None,
    ) -> None:
        super().__init__(extractor, audit)
        extractor.options.require_one_face()
        templates_of(store, self.model)
        self.point = self.model.operating_point(fmr, threshold)
        self._store = store
        self._fusion = fusion

    def verify(self, photo: Source, name: str) -> ClaimDecision:
        """Verify a claim.

        Raises:
            ImageError: the photo cannot be read.
            NoDecisionError: the photo shows no face, several, or one of too low quality.
            GalleryError: nobody is enrolled under the name (code ``gallery-unknown-name``).
            ModelError: the person has more templates than the model was calibrated for.
            OutputError: the audit log cannot be written.
        """
        return self.answer((photo, name))

    def undecided(self, question: Claim, error: FaceverifyError) -> ClaimDecision:
        """Decision about a claim with an error."""
        photo, name = question
        return ClaimDecision(str(photo), name, None, self.point, error)

    def _prepare(self, question: Claim) -> ClaimDecision:
        photo, name = question[0], checked_name(question[1])
        with self._lock:  # before the embedding, which an unknown name does not need
            stored = self._enrolled(name)
        rate, point = self._point_among(len(stored))
        (probe,) = self._extract(photo)
        distance = float(fused_distance(probe.embedding, stored, self._fusion))
        quality = probe.quality.score
        point = point_at_quality(point, self.model.calibration, quality, rate=rate)
        return ClaimDecision(
            probe.photo,
            name,
            distance,
            point,
            quality_a=quality,
            turned_a=probe.face.turned,
            templates=len(stored),
        )

    def _decide(self, question: Claim, prepared: ClaimDecision) -> ClaimDecision:
        self._log("verify", [prepared.facts()])
        return prepared

    def _enrolled(self, name: str) -> list[StoredTemplate]:
        stored = self._store.of(name, model=self.model.id)
        if not stored and self._store.of(name):
            raise GalleryError(
                f"{name!r} is enrolled with another model than {self.point.model} "
                f"({self.point.model_id})",
                cure="`faceverify gallery rebuild` embeds everybody with one model",
                code="gallery-model",
            )
        if not stored:
            raise unknown_name(name, self._store)
        return stored

    def _point_among(self, templates: int) -> tuple[float | None, OperatingPoint]:
        """False match rate, and operating point, of each comparison with a person's templates."""
        if self.point.fmr is None or templates == 1:
            return self.point.fmr, self.point
        margin = MEAN_MARGIN if self._fusion is Fusion.MEAN else 1.0
        rate = self.point.fmr / (templates * margin)
        distance = distance_at(self.model.calibration, rate)
        if distance is None:
            raise ModelError(
                f"{self.point.model}: --fmr {self.point.fmr:g} against {templates} "
                f"templates takes a rate of {rate:.2g} each, and it is not calibrated so far down",
                cure="give a larger --fmr, or --threshold",
                code="model-not-calibrated",
            )
        return rate, replace(self.point, threshold=distance)


def fused_distance(
    embedding: NDArray[np.float32], stored: Sequence[StoredTemplate], fusion: Fusion
) -> NDArray[np.float64]:
    """Fused cosine distance to a person's templates, at least one: (..., D) -> (...)."""
    rows: NDArray[Any] = np.stack([template.embedding for template in stored])  # (templates, D)
    if fusion is Fusion.MEAN:
        rows = mean_direction(rows.sum(axis=0, dtype=np.float64, keepdims=True))
    nearest: NDArray[np.float64] = cosine_distance(embedding[..., None, :], rows).min(axis=-1)
    return nearest
