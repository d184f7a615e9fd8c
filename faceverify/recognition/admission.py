"""Duplicate check at enrollment: which new templates match another person, or not their own name.

The nearest people are searched for without a lock. The decision is made inside ``Store.add``, when
no other process can write, and takes into account what was enrolled in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from faceverify.errors import ModelError, NoDecisionError, UsageError
from faceverify.gallery.store import Enrollment, Store, StoredTemplate
from faceverify.matching.distance import cosine_distance
from faceverify.matching.threshold import distance_at, smallest_rate
from faceverify.models.metadata import Threshold
from faceverify.models.model_file import ModelFile
from faceverify.recognition.template_count import TemplateCount

DEFAULT_FPIR = 0.01
"""Share of new people who may be refused as a duplicate of an enrolled person."""

MOST_LOST = 0.01
"""Share of a person's photos that may be refused as unlike the person's other templates."""


class Admission:
    """Admission rule for new templates: compared with the gallery and with one another.

    Args:
        store: the gallery.
        model: the model that makes the embeddings.
        fpir: false positive identification rate, in (0, 1]: share of new people that may be refused
            as a duplicate.
        threshold: cosine distance up to which two faces are of one person, in place of ``fpir``.

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
        if not model.calibration and threshold is None:
            raise ModelError(
                f"{model.provenance.name}: it has no calibrated thresholds to tell people apart by",
                cure="calibrate it: `faceverify calibrate`, or give --threshold",
                code="model-not-calibrated",
            )
        self._store = store
        self._model = model.id
        self._name = model.provenance.name
        self._calibration = model.calibration
        self._own_limit = own_limit([one for one in model.thresholds if one.holds])
        self._fpir = fpir
        self._by_hand = threshold
        self._count = TemplateCount(store, model)

    def check_duplicates(self, new: Sequence[Enrollment], photos: Sequence[str]) -> DuplicateCheck:
        """Search for the people nearest to new templates; the result is passed to ``Store.add``.

        Args:
            new: the templates, N.
            photos: path of each photo as the user gave it, N.
        """
        count = self._count()
        return DuplicateCheck(
            self._store, self._model, new, photos, templates=count, refusal=self.refusal
        )

    def grow(self, added: int) -> None:
        """Add templates that were just stored to the count."""
        self._count.grow(added)

    def outgrown(self) -> str | None:
        """One-line warning for a gallery larger than the model was calibrated for; else None."""
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

    def refusal(
        self,
        photo: str,
        name: str,
        other: tuple[float, str] | None,
        own: float | None,
        templates: int,
    ) -> NoDecisionError | None:
        """Reason for not enrolling a face; codes ``matches-another``, ``unlike-own``.

        Args:
            photo: path of its photo as the user gave it.
            name: the name it is to be enrolled under.
            other: distance and name of the nearest person of another name.
            own: distance of the nearest template of the same name.
            templates: number of templates the face is compared with.

        Returns:
            The error; None for a face that may be enrolled.
        """
        limit = self._other_limit(templates)
        if other is not None and other[0] <= limit and (own is None or other[0] < own):
            return NoDecisionError(
                f"{photo}: this face is enrolled as {other[1]!r} already (distance "
                f"{other[0]:.4f}, at most {limit:.4f})",
                cure="enroll it under that name, or give --force if these are two people",
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
        """Distance up to which a face is a duplicate of another person's.

        It depends on the number of templates. For more templates than the model was calibrated
        for, its strictest distance is used.
        """
        if self._by_hand is not None:
            return self._by_hand
        rate = max(self._fpir / max(count, 1), smallest_rate(self._calibration))
        distance = distance_at(self._calibration, rate)
        assert distance is not None
        return distance


class DuplicateCheck:
    """Duplicate check of a batch: an :class:`~faceverify.gallery.store.Admit` for ``Store.add``.

    Args:
        store: the gallery.
        model: id of the model that made the embeddings.
        new: the templates, N, at least one.
        photos: path of each photo as the user gave it, N.
        templates: number of templates in the gallery.
        refusal: the rule, :meth:`Admission.refusal`.

    Attributes:
        after: templates with greater sequence numbers are passed to the call.
        refusals: errors of the templates that are not admitted, by index; set by the call.
    """

    def __init__(
        self,
        store: Store,
        model: str,
        new: Sequence[Enrollment],
        photos: Sequence[str],
        *,
        templates: int,
        refusal: Callable[..., NoDecisionError | None],
    ) -> None:
        self.after = store.newest()  # before the search, which may see more than that
        self.refusals: dict[int, NoDecisionError] = {}
        self._new, self._photos, self._templates, self._refusal = new, photos, templates, refusal
        # two people: at least one has another name
        nearest = store.search(np.stack([one.embedding for one in new]), 2, model=model)
        self._others = [
            [(near.distance, near.name) for near in found if near.name != one.name]
            for one, found in zip(new, nearest, strict=True)
        ]
        self._own = {name: store.of(name, model=model) for name in {one.name for one in new}}

    def __call__(self, late: Sequence[StoredTemplate]) -> list[int]:
        """Indices of the templates to store; may be called repeatedly.

        Each is compared with the gallery and with the templates admitted before it in the batch.

        Args:
            late: templates stored since ``after``, in the order of their numbers.
        """
        self.refusals = {}
        admitted: list[int] = []
        beside: list[Enrollment] = list(late)
        for place, (one, photo) in enumerate(zip(self._new, self._photos, strict=True)):
            mine = [*self._own[one.name], *(known for known in beside if known.name == one.name)]
            refusal = None
            if all(known.photo_hash != one.photo_hash for known in mine):  # else stored already
                strangers = [known for known in beside if known.name != one.name]
                names = [known.name for known in strangers]
                others = zip(_distances(one, strangers), names, strict=True)
                other = min([*self._others[place], *others], default=None)
                own = min(_distances(one, mine), default=None)
                compared = self._templates + len(late) + len(admitted)
                refusal = self._refusal(photo, one.name, other, own, compared)
            if refusal is None:
                admitted.append(place)
                beside.append(one)
            else:
                self.refusals[place] = refusal
        return admitted


def _distances(one: Enrollment, others: Sequence[Enrollment]) -> list[float]:
    if not others:
        return []
    rows = np.stack([other.embedding for other in others])
    found: list[float] = cosine_distance(one.embedding, rows).tolist()
    return found


def own_limit(thresholds: Sequence[Threshold]) -> float | None:
    """Distance above which a face does not match its own person; None without calibration.

    It is the strictest calibrated threshold with a false non-match rate of at most 1 %: the
    stricter, the more photos of a wrong person are found.
    """
    sparing = [one.distance for one in thresholds if one.fnmr <= MOST_LOST]
    if sparing:
        return min(sparing)
    return max((one.distance for one in thresholds), default=None)
