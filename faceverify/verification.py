"""The whole of verification behind one class: two photos in, one decision out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from faceverify.errors import FaceverifyError, UsageError
from faceverify.faces.choice import MIN_FACE, FaceChoice
from faceverify.images import Source
from faceverify.matching.decision import Decision, Operation
from faceverify.matching.distance import cosine_distance
from faceverify.pipeline import Once, map_ordered
from faceverify.templates import Template, TemplateExtractor

DEFAULT_FMR = 1e-3


class Verifier:
    """Tells whether two photos show the same person; safe to use from several threads.

    >>> verifier = Verifier.load()
    >>> decision = verifier.verify("tests/faces/obama.jpg", "tests/faces/obama2.jpg")
    >>> decision.same
    True
    """

    def __init__(self, extractor: TemplateExtractor, operation: Operation) -> None:
        self._extract = extractor.extract
        self.operation = operation

    @classmethod
    def load(
        cls,
        model: str = "default",
        *,
        fmr: float = DEFAULT_FMR,
        threshold: float | None = None,
        face: FaceChoice | str = FaceChoice.PROMINENT,
        min_face: float = MIN_FACE,
        min_quality: float = 0.0,
        aligned: str | None = None,
        augment: int = 1,
    ) -> Verifier:
        """Load a model and set the threshold.

        Args:
            model: a model file, or the name of an installed one.
            fmr: the false match rate to run at; the model file holds the threshold for it.
            threshold: a cosine distance instead, in [0, 2].
            face: which face, when a photo shows several: prominent, largest, center or only.
            min_face: side of the smallest face looked for, in pixels.
            min_quality: least quality of a face, in [0, 1].
            aligned: photos are crops already, of this template ("arcface-112", ...).
            augment: how many slightly different crops of each face are averaged.

        Raises:
            UsageError: a value that makes no sense.
            ModelError: the model cannot be loaded or was not calibrated for the rate.
        """
        if face == FaceChoice.ALL:
            raise UsageError("all faces of a photo cannot be one side of a comparison")
        extractor = TemplateExtractor.load(
            model,
            face=face,
            min_face=min_face,
            min_quality=min_quality,
            aligned=aligned,
            augment=augment,
        )
        return cls.of(extractor, fmr=fmr, threshold=threshold)

    @classmethod
    def of(
        cls,
        extractor: TemplateExtractor,
        *,
        fmr: float = DEFAULT_FMR,
        threshold: float | None = None,
    ) -> Verifier:
        """Set the threshold for a model that is loaded.

        Raises:
            ModelError: it was not calibrated for the rate.
        """
        file = extractor.model
        distance = file.threshold_for(fmr).distance if threshold is None else threshold
        rate = fmr if threshold is None else None
        return cls(extractor, Operation(distance, rate, file.provenance.name, file.id))

    def template(self, photo: Source) -> Template:
        """The template of the one face meant.

        Raises:
            ImageError, NoDecisionError: as :meth:`TemplateExtractor.extract`.
        """
        (template,) = self._extract(photo)
        return template

    def verify(self, first: Source, second: Source) -> Decision:
        """Decide about two photos.

        Raises:
            ImageError: a photo cannot be read.
            NoDecisionError: a photo shows no face, several, or one of too low quality.
        """
        both = map_ordered(self.template, (first, second), workers=2)  # side by side
        return self._compare(*both)

    def undecided(self, first: str, second: str, error: FaceverifyError) -> Decision:
        """The decision about photos that something is wrong with."""
        return Decision(first, second, None, self.operation, error)

    def verify_pairs(
        self, pairs: Iterable[tuple[str, str]], *, workers: int | None = None
    ) -> Iterator[Decision]:
        """Decide about many pairs of photos, in their order; each photo is processed once.

        What is wrong with a photo goes into the decisions about it; nothing is raised for it.
        """
        yield from map_ordered(self.pair_decider(), pairs, workers=workers)

    def pair_decider(self) -> Callable[[tuple[str, str]], Decision]:
        """A function that decides about a pair and remembers each photo, the bad ones too."""
        outcome: Once[str, Template | FaceverifyError] = Once(self._outcome)

        def decide(pair: tuple[str, str]) -> Decision:
            first, second = map(outcome, pair)
            if isinstance(first, FaceverifyError):
                return self.undecided(*pair, first)
            if isinstance(second, FaceverifyError):
                return self.undecided(*pair, second)
            return self._compare(first, second)

        return decide

    def _outcome(self, photo: str) -> Template | FaceverifyError:
        """The template, or why there is none."""
        try:
            return self.template(photo)
        except FaceverifyError as error:
            # what it was raised from holds the photo's pixels, and it is remembered
            error.__traceback__ = error.__cause__ = error.__context__ = None
            return error

    def _compare(self, first: Template, second: Template) -> Decision:
        distance = float(cosine_distance(first.embedding, second.embedding))
        return Decision(first.photo, second.photo, distance, self.operation)
