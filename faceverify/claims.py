"""Claims: does a photo show the person who is enrolled under a name?"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import FaceverifyError, GalleryError, ModelError
from faceverify.gallery.audit import AuditLog
from faceverify.gallery.names import checked_name, unknown_name
from faceverify.gallery.store import Fusion, Store, StoredTemplate
from faceverify.gallery.template_count import templates_of
from faceverify.images import Source
from faceverify.matching.decision import Decision, Operation
from faceverify.matching.distance import cosine_distance
from faceverify.matching.fusion import mean_direction
from faceverify.matching.open_set import MEAN_MARGIN, distance_at
from faceverify.templates import TemplateExtractor


@dataclass(frozen=True)
class ClaimDecision(Decision):
    """Whether a photo (a) shows the person enrolled under a name (b), or why that is not decided.

    Attributes:
        templates: how many the person has; None where nothing was decided.
    """

    templates: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        told = super().as_dict()
        photo, name = told.pop("a"), told.pop("b")
        return {"photo": photo, "claim": name, "templates": self.templates, **told}


class ClaimVerifier:
    """Decides about claims; safe to use from several threads.

    A person with several templates gives a stranger several chances: their false match rates add
    up, at most (the union bound). So each comparison is run at the wanted rate divided by their
    number, at a distance between the calibrated ones.

    Args:
        extractor: from photos to templates, one face each.
        store: the gallery.
        fmr: the false match rate of a claim; one that the model was calibrated for.
        threshold: a cosine distance instead, in [0, 2].
        fusion: how a person's several templates make one distance.
        audit: told of every decision before anybody else is.

    Raises:
        GalleryError: the gallery's templates are of another model.
        ModelError: the model was not calibrated for the rate.
    """

    def __init__(
        self,
        extractor: TemplateExtractor,
        store: Store,
        *,
        fmr: float,
        threshold: float | None = None,
        fusion: Fusion = Fusion.MAX,
        audit: AuditLog | None = None,
    ) -> None:
        model = extractor.model
        templates_of(store, model)
        distance = model.threshold_for(fmr).distance if threshold is None else threshold
        rate = fmr if threshold is None else None
        self.operation = Operation(distance, rate, model.provenance.name, model.id)
        self._calibration = [(one.fmr, one.distance) for one in model.thresholds]
        self._extract = extractor.extract
        self._store = store
        self._lock = threading.Lock()
        self._fusion = fusion
        self._audit = audit

    def verify(self, photo: Source, name: str) -> ClaimDecision:
        """Decide about a claim.

        Raises:
            ImageError: the photo cannot be read.
            NoDecisionError: the photo shows no face, several, or one of too low quality.
            GalleryError: nobody is enrolled under the name (code ``gallery-unknown-name``).
            ModelError: the person has more templates than the model was calibrated for.
        """
        name = checked_name(name)
        with self._lock:  # first: an unknown name costs no embedding
            stored = self._enrolled(name)
        operation = self._operation(len(stored))
        (template,) = self._extract(photo)
        distance = float(fused_distance(template.embedding, stored, self._fusion))
        decision = ClaimDecision(template.photo, name, distance, operation, templates=len(stored))
        if self._audit is not None:
            told = decision.as_dict()
            kept = ("photo", "claim", "same", "distance", "threshold", "fmr", "model_id")
            with self._lock:
                self._audit.append("verify", **{key: told[key] for key in kept})
        return decision

    def undecided(self, photo: str, name: str, error: FaceverifyError) -> ClaimDecision:
        """The decision about a claim that something is wrong with."""
        return ClaimDecision(photo, name, None, self.operation, error)

    def _enrolled(self, name: str) -> list[StoredTemplate]:
        stored = self._store.of(name, model=self.operation.model_id)
        if not stored and self._store.of(name):
            raise GalleryError(
                f"{name!r} is enrolled with another model than {self.operation.model} "
                f"({self.operation.model_id})",
                cure="`faceverify gallery rebuild` embeds everybody with one model",
                code="gallery-model",
            )
        if not stored:
            raise unknown_name(name, self._store)
        return stored

    def _operation(self, templates: int) -> Operation:
        """The operation of each comparison of a claim."""
        if self.operation.fmr is None or templates == 1:
            return self.operation
        margin = MEAN_MARGIN if self._fusion is Fusion.MEAN else 1.0
        rate = self.operation.fmr / (templates * margin)
        distance = distance_at(self._calibration, rate)
        if distance is None:
            raise ModelError(
                f"{self.operation.model}: --fmr {self.operation.fmr:g} against {templates} "
                f"templates takes a rate of {rate:.2g} each, and it is not calibrated so far down",
                cure="give a larger --fmr, or --threshold",
                code="model-not-calibrated",
            )
        return replace(self.operation, threshold=distance)


def fused_distance(
    embedding: NDArray[np.float32], stored: Sequence[StoredTemplate], fusion: Fusion
) -> NDArray[np.float64]:
    """Distance of a face from a person's templates, at least one: (..., D) -> (...)."""
    rows: NDArray[Any] = np.stack([template.embedding for template in stored])  # (templates, D)
    if fusion is Fusion.MEAN:
        rows = mean_direction(rows.sum(axis=0, dtype=np.float64, keepdims=True))
    nearest: NDArray[np.float64] = cosine_distance(embedding[..., None, :], rows).min(axis=-1)
    return nearest
