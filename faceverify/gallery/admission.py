"""Which new templates had better not be stored: those of somebody else, as far as one can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import ModelError, NoDecisionError, UsageError
from faceverify.gallery.neighbours import Neighbours
from faceverify.gallery.store import Store
from faceverify.gallery.template_count import TemplateCount
from faceverify.matching.open_set import distance_at, smallest_rate
from faceverify.models.model_file import ModelFile
from faceverify.models.model_metadata import Threshold

DEFAULT_FPIR = 0.01
"""Share of new people who may be taken for somebody who is enrolled already, and reported."""

MOST_LOST = 0.01
"""Share of a person's own photos that may be taken for unlike the person's others, and reported."""


@dataclass(frozen=True)
class NewFace:
    """A face to be enrolled.

    Attributes:
        photo: what the user called its photo.
        name: whose it is said to be.
        embedding: of length 1, (D,).
    """

    photo: str
    name: str
    embedding: NDArray[np.float32]


class Admission:
    """Compares new faces with all that are enrolled, and with one another.

    Args:
        store: the gallery.
        model: the model that makes the embeddings.
        fpir: share of new people that may be taken for somebody enrolled.
        threshold: the cosine distance up to which two faces are of one person, instead.

    Raises:
        GalleryError: the gallery's templates are of another model, or it cannot be read.
        ModelError: the model was not calibrated, and there is no threshold.
        UsageError: a rate outside (0, 1].
    """

    def __init__(
        self,
        store: Store,
        model: ModelFile,
        *,
        fpir: float = DEFAULT_FPIR,
        threshold: float | None = None,
    ) -> None:
        if not 0 < fpir <= 1:
            raise UsageError(f"--fpir {fpir:g}: expected a rate above 0, such as 0.01")
        if not model.thresholds and threshold is None:
            raise ModelError(
                f"{model.provenance.name}: it has no calibrated thresholds to tell people apart by",
                cure="calibrate it: `faceverify calibrate`, or give --threshold",
                code="model-not-calibrated",
            )
        self._store = store
        self._model = model.id
        self._name = model.provenance.name
        self._calibration = model.calibration
        self._own_limit = own_limit(model.thresholds)
        self._fpir = fpir
        self._by_hand = threshold
        self._count = TemplateCount(store, model)

    def doubts(self, faces: Sequence[NewFace]) -> dict[int, NoDecisionError]:
        """Why some of the faces had better not be enrolled, by their places; the others may be.

        Codes: ``matches-another``, ``unlike-own``.
        """
        names = [face.name for face in faces]
        embeddings = np.stack([face.embedding for face in faces])
        neighbours = Neighbours(self._store, self._model, names, embeddings)
        doubts: dict[int, NoDecisionError] = {}
        for place, face in enumerate(faces):
            limit = self._other_limit(self._count())
            doubt = self._doubt(face, neighbours.other(place), neighbours.own(place), limit)
            if doubt is None:
                neighbours.admit(place)
                self._count.grow(1)
            else:
                doubts[place] = doubt
        return doubts

    def outgrown(self) -> str | None:
        """What to know of a gallery that is larger than the model was calibrated for, in a line."""
        if self._by_hand is not None:
            return None
        count = self._count()
        share = min(1.0, smallest_rate(self._calibration) * count)
        if share <= self._fpir:
            return None
        return (
            f"{count:,} templates are more than {self._name} was calibrated for: about {share:.2g} "
            f"of new people are taken for somebody enrolled, not {self._fpir:g}; "
            "--threshold sets the distance"
        )

    def _doubt(
        self, face: NewFace, other: tuple[float, str] | None, own: float | None, limit: float
    ) -> NoDecisionError | None:
        """Why a face had better not be enrolled, given its nearest neighbours."""
        if other is not None and other[0] <= limit and (own is None or other[0] < own):
            distance, name = other
            return NoDecisionError(
                f"{face.photo}: this face is enrolled as {name!r} already (distance "
                f"{distance:.4f}, at most {limit:.4f})",
                cure="enrol it under that name, or give --force if these are two people",
                code="matches-another",
            )
        if own is not None and self._own_limit is not None and own > self._own_limit:
            return NoDecisionError(
                f"{face.photo}: unlike all that {face.name!r} is enrolled with (distance "
                f"{own:.4f}, above {self._own_limit:.4f})",
                cure="give --force if it is the same person, or remove what is enrolled wrongly",
                code="unlike-own",
            )
        return None

    def _other_limit(self, count: int) -> float:
        """The distance up to which a face is taken for that of another person.

        It follows the number of templates; where the model was not calibrated for so many, its
        strictest distance stands.
        """
        if self._by_hand is not None:
            return self._by_hand
        rate = max(self._fpir / max(count, 1), smallest_rate(self._calibration))
        distance = distance_at(self._calibration, rate)
        assert distance is not None
        return distance


def own_limit(thresholds: Sequence[Threshold]) -> float | None:
    """The distance from which on a face is unlike the person's other ones; None if uncalibrated.

    That of the smallest false match rate which costs at most 1 % of genuine pairs: the smaller the
    rate, the more photos of a wrong person are found.
    """
    sparing = [one.distance for one in thresholds if one.fnmr <= MOST_LOST]
    if sparing:
        return min(sparing)
    return max((one.distance for one in thresholds), default=None)
