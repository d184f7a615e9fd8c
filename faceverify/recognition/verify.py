"""Verification of two photos, one to one: do they show the same person?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from faceverify.embeddings.extractor import FaceEmbedder, FaceEmbedding
from faceverify.errors import FaceverifyError
from faceverify.faces.options import LEAST_QUALITY, FaceOptions
from faceverify.images.photo import Source
from faceverify.matching.decision import Decision
from faceverify.matching.distance import cosine_distance
from faceverify.matching.operating_point import DEFAULT_FMR
from faceverify.matching.threshold import point_at_quality
from faceverify.recognition.operator import Operator, Plain, outcome_of
from faceverify.runtime.parallel import Once, map_ordered

Pair = tuple[Source, Source]


class Verifier(Operator[Pair, "tuple[FaceEmbedding, FaceEmbedding]", Decision]):
    """Verification of pairs of photos; thread-safe.

    >>> verifier = Verifier.load()
    >>> decision = verifier.verify("tests/faces/obama.jpg", "tests/faces/obama2.jpg")
    >>> decision.same
    True

    Args:
        extractor: photos to embeddings, one face each.
        fmr: false match rate; one that the model was calibrated for.
        threshold: cosine distance in [0, 2], in place of ``fmr``.

    Raises:
        UsageError: the extractor returns all faces of a photo.
        ModelError: the model was not calibrated for the rate.
    """

    def __init__(
        self,
        extractor: FaceEmbedder,
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
        options: FaceOptions = FaceOptions(min_quality=LEAST_QUALITY),
        *,
        fmr: float = DEFAULT_FMR,
        threshold: float | None = None,
    ) -> Verifier:
        """Load a model and set the threshold.

        Args:
            model: path of a model file, or name of an installed model.
            options: detection, selection and alignment of the one face of each photo.
            fmr, threshold: as for the class.

        Raises:
            UsageError: the options select all faces of a photo.
            ModelError: the model cannot be loaded or was not calibrated for the rate.
        """
        return cls(FaceEmbedder.load(model, options), fmr=fmr, threshold=threshold)

    def embed(self, photo: Source) -> FaceEmbedding:
        """Embedding of the one face that the options choose.

        Raises:
            ImageError, NoDecisionError: as :meth:`FaceEmbedder.extract`.
        """
        (probe,) = self._extract(photo)
        return probe

    def verify(self, first: Source, second: Source) -> Decision:
        """Verify two photos.

        Raises:
            ImageError: a photo cannot be read.
            NoDecisionError: a photo shows no face, several, or one of too low quality.
        """
        return self.answer((first, second))

    def verify_pairs(
        self, pairs: Iterable[tuple[str, str]], *, workers: int | None = None
    ) -> Iterator[Decision]:
        """Verify many pairs of photos, in order; each photo is embedded once.

        An error with a photo goes into the decisions about it; it is not raised.
        """
        for _, decision in self.answers(map(Plain, pairs), workers=workers):
            yield decision

    def undecided(self, question: Pair, error: FaceverifyError) -> Decision:
        """Decision about photos with an error."""
        first, second = question
        return Decision(str(first), str(second), None, self.point, error)

    def _prepare(self, question: Pair) -> tuple[FaceEmbedding, FaceEmbedding]:
        first, second = map_ordered(self.embed, question, workers=2)  # concurrently
        return first, second

    def _preparer(self) -> Callable[[Pair], tuple[FaceEmbedding, FaceEmbedding] | FaceverifyError]:
        """With one embedding, or error, a photo."""
        # by path, or any other hashable source
        outcome: Once[Any, FaceEmbedding | FaceverifyError] = Once(outcome_of(self.embed))

        def prepare(pair: Pair) -> tuple[FaceEmbedding, FaceEmbedding] | FaceverifyError:
            first, second = map(outcome, pair)
            if isinstance(first, FaceverifyError):
                return first
            return second if isinstance(second, FaceverifyError) else (first, second)

        return prepare

    def _decide(self, question: Pair, prepared: tuple[FaceEmbedding, FaceEmbedding]) -> Decision:
        first, second = prepared
        distance = float(cosine_distance(first.embedding, second.embedding))
        of_first, of_second = first.quality.score, second.quality.score
        point = point_at_quality(self.point, self.model.calibration, min(of_first, of_second))
        return Decision(
            first.photo,
            second.photo,
            distance,
            point,
            quality_a=of_first,
            quality_b=of_second,
            turned_a=first.face.turned,
            turned_b=second.face.turned,
        )
