"""Verification: do two photos show the same person?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from faceverify.embeddings.extractor import Template, TemplateExtractor
from faceverify.errors import FaceverifyError
from faceverify.faces.options import FaceOptions
from faceverify.images.photo import Source
from faceverify.matching.decision import Decision
from faceverify.matching.distance import cosine_distance
from faceverify.matching.operating_point import DEFAULT_FMR
from faceverify.recognition.operator import Operator, Plain, outcome_of
from faceverify.runtime.parallel import Once, map_ordered

Pair = tuple[Source, Source]


class Verifier(Operator[Pair, "tuple[Template, Template]", Decision]):
    """Tells whether two photos show the same person; safe to use from several threads.

    >>> verifier = Verifier.load()
    >>> decision = verifier.verify("tests/faces/obama.jpg", "tests/faces/obama2.jpg")
    >>> decision.same
    True

    Args:
        extractor: from photos to templates, one face each.
        fmr: the false match rate to run at; the model file holds the threshold for it.
        threshold: a cosine distance instead, in [0, 2].

    Raises:
        UsageError: the extractor gives all faces of a photo.
        ModelError: the model was not calibrated for the rate.
    """

    def __init__(
        self,
        extractor: TemplateExtractor,
        *,
        fmr: float = DEFAULT_FMR,
        threshold: float | None = None,
    ) -> None:
        super().__init__(extractor)
        extractor.options.require_one_face()
        self.point = self.model.operating_point(fmr, threshold)

    @classmethod
    def load(
        cls,
        model: str = "default",
        options: FaceOptions = FaceOptions(),
        *,
        fmr: float = DEFAULT_FMR,
        threshold: float | None = None,
    ) -> Verifier:
        """Load a model and set the threshold.

        Args:
            model: a model file, or the name of an installed one.
            options: how the one face of each photo is found, chosen and cut out.
            fmr, threshold: as for the class.

        Raises:
            UsageError: all faces of a photo are meant.
            ModelError: the model cannot be loaded or was not calibrated for the rate.
        """
        return cls(TemplateExtractor.load(model, options), fmr=fmr, threshold=threshold)

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
        return self.answer((first, second))

    def verify_pairs(
        self, pairs: Iterable[tuple[str, str]], *, workers: int | None = None
    ) -> Iterator[Decision]:
        """Decide about many pairs of photos, in their order; each photo is processed once.

        What is wrong with a photo goes into the decisions about it; nothing is raised for it.
        """
        for _, decision in self.answers(map(Plain, pairs), workers=workers):
            yield decision

    def undecided(self, question: Pair, error: FaceverifyError) -> Decision:
        """The decision about photos that something is wrong with."""
        first, second = question
        return Decision(str(first), str(second), None, self.point, error)

    def _prepare(self, question: Pair) -> tuple[Template, Template]:
        first, second = map_ordered(self.template, question, workers=2)  # side by side
        return first, second

    def _preparer(self) -> Callable[[Pair], tuple[Template, Template] | FaceverifyError]:
        """Remembers each photo, the bad ones too."""
        # by path, or whatever else can be a key
        outcome: Once[Any, Template | FaceverifyError] = Once(outcome_of(self.template))

        def prepare(pair: Pair) -> tuple[Template, Template] | FaceverifyError:
            first, second = map(outcome, pair)
            if isinstance(first, FaceverifyError):
                return first
            return second if isinstance(second, FaceverifyError) else (first, second)

        return prepare

    def _decide(self, question: Pair, prepared: tuple[Template, Template]) -> Decision:
        first, second = prepared
        distance = float(cosine_distance(first.embedding, second.embedding))
        return Decision(first.photo, second.photo, distance, self.point)
