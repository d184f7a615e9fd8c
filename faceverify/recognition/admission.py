"""De-duplication at enrolment: which new templates look like another person, or unlike their own.

The nearest people are searched for while others may write; the decision is made by ``Store.add``
while none can, with what came to the gallery in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from faceverify.errors import ModelError, NoDecisionError, UsageError
from faceverify.gallery.store import Enrolment, Store, StoredTemplate
from faceverify.matching.distance import cosine_distance
from faceverify.matching.threshold import distance_at, smallest_rate
from faceverify.models.metadata import Threshold
from faceverify.models.model_file import ModelFile
from faceverify.recognition.template_count import TemplateCount

DEFAULT_FPIR = 0.01
"""Share of new people who may be taken for somebody who is enrolled already, and reported."""

MOST_LOST = 0.01
"""Share of a person's own photos that may be taken for unlike the person's others, and reported."""


class Admission:
    """The rule by which new templates are compared with a gallery, and with one another.

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

    def examine(self, new: Sequence[Enrolment], photos: Sequence[str]) -> Examination:
        """Search for the people nearest to new templates; ``Store.add`` takes what this returns.

        Args:
            new: the templates, N.
            photos: what the user called the photo of each, N.
        """
        count = self._count()
        return Examination(self._store, self._model, new, photos, templates=count, doubt=self.doubt)

    def grow(self, added: int) -> None:
        """Count templates that were stored just now."""
        self._count.grow(added)

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

    def doubt(
        self,
        photo: str,
        name: str,
        other: tuple[float, str] | None,
        own: float | None,
        templates: int,
    ) -> NoDecisionError | None:
        """Why a face had better not be enrolled; codes ``matches-another``, ``unlike-own``.

        Args:
            photo: what the user called its photo.
            name: whose it is said to be.
            other: distance and name of the nearest person of another name.
            own: distance of the nearest template of the same name.
            templates: how many the face is compared with.
        """
        limit = self._other_limit(templates)
        if other is not None and other[0] <= limit and (own is None or other[0] < own):
            return NoDecisionError(
                f"{photo}: this face is enrolled as {other[1]!r} already (distance "
                f"{other[0]:.4f}, at most {limit:.4f})",
                cure="enrol it under that name, or give --force if these are two people",
                code="matches-another",
            )
        if own is not None and self._own_limit is not None and own > self._own_limit:
            return NoDecisionError(
                f"{photo}: unlike all that {name!r} is enrolled with (distance "
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


class Examination:
    """A batch of new templates beside the people nearest to them; ``Store.add`` calls it to decide.

    Args:
        store: the gallery.
        model: id of the model that made the embeddings.
        new: the templates, N, at least one.
        photos: what the user called the photo of each, N.
        templates: how many the gallery holds.
        doubt: the rule, :meth:`Admission.doubt`.

    Attributes:
        after: templates with greater numbers come late, with the call.
        doubts: why some are not admitted, by their places; known once the call was made.
    """

    def __init__(
        self,
        store: Store,
        model: str,
        new: Sequence[Enrolment],
        photos: Sequence[str],
        *,
        templates: int,
        doubt: Callable[..., NoDecisionError | None],
    ) -> None:
        self.after = store.newest()  # before the search, which may see more than that
        self.doubts: dict[int, NoDecisionError] = {}
        self._new, self._photos, self._templates, self._doubt = new, photos, templates, doubt
        # of two people at least one is another
        nearest = store.search(np.stack([one.embedding for one in new]), 2, model=model)
        self._others = [
            [(near.distance, near.name) for near in found if near.name != one.name]
            for one, found in zip(new, nearest, strict=True)
        ]
        self._own = {name: store.of(name, model=model) for name in {one.name for one in new}}

    def __call__(self, late: Sequence[StoredTemplate]) -> list[int]:
        """The places of the templates to be stored; asked again, it decides again.

        Each is compared with the gallery and with those of the batch that were admitted before it.
        """
        self.doubts = {}
        admitted: list[int] = []
        beside: list[Enrolment] = list(late)
        for place, (one, photo) in enumerate(zip(self._new, self._photos, strict=True)):
            mine = [*self._own[one.name], *(known for known in beside if known.name == one.name)]
            doubt = None
            if all(known.photo_hash != one.photo_hash for known in mine):  # else it is stored
                strangers = [known for known in beside if known.name != one.name]
                names = [known.name for known in strangers]
                others = zip(_distances(one, strangers), names, strict=True)
                other = min([*self._others[place], *others], default=None)
                own = min(_distances(one, mine), default=None)
                compared = self._templates + len(late) + len(admitted)
                doubt = self._doubt(photo, one.name, other, own, compared)
            if doubt is None:
                admitted.append(place)
                beside.append(one)
            else:
                self.doubts[place] = doubt
        return admitted


def _distances(one: Enrolment, others: Sequence[Enrolment]) -> list[float]:
    if not others:
        return []
    rows = np.stack([other.embedding for other in others])
    found: list[float] = cosine_distance(one.embedding, rows).tolist()
    return found


def own_limit(thresholds: Sequence[Threshold]) -> float | None:
    """The distance from which on a face is unlike the person's other ones; None if uncalibrated.

    That of the smallest false match rate which costs at most 1 % of genuine pairs: the smaller the
    rate, the more photos of a wrong person are found.
    """
    sparing = [one.distance for one in thresholds if one.fnmr <= MOST_LOST]
    if sparing:
        return min(sparing)
    return max((one.distance for one in thresholds), default=None)
