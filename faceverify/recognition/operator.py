"""Base of verification, claims and identification: questions about photos, answered by one model.

Photos are embedded in worker threads; answers are made one at a time, in the order of the
questions.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from faceverify.embeddings.extractor import FaceEmbedder
from faceverify.errors import FaceverifyError
from faceverify.runtime.parallel import map_ordered

if TYPE_CHECKING:
    from faceverify.gallery.audit import AuditLog

Question = TypeVar("Question")
QuestionOf = TypeVar("QuestionOf", covariant=True)
Prepared = TypeVar("Prepared")
Answer = TypeVar("Answer")
Item = TypeVar("Item")
One = TypeVar("One", bound="Asked[Any]")
Result = TypeVar("Result")


class Asked(Protocol[QuestionOf]):
    """One of many questions, such as a line of a list."""

    @property
    def question(self) -> QuestionOf:
        """The question itself."""

    @property
    def error(self) -> FaceverifyError | None:
        """Why it cannot be answered, such as a malformed line; else None."""


@dataclass(frozen=True)
class Plain(Generic[Question]):
    """A question without further data."""

    question: Question
    error: FaceverifyError | None = None


class Operator(ABC, Generic[Question, Prepared, Answer]):
    """Answers to questions about photos, by one model; thread-safe.

    Args:
        extractor: photos to embeddings.
        audit: log that receives each answer before it is returned; None for no log.
    """

    def __init__(self, extractor: FaceEmbedder, audit: AuditLog | None = None) -> None:
        self.model = extractor.model
        self._extract = extractor.extract
        self._audit = audit
        self._lock = threading.Lock()  # of the gallery: a store is used by one thread at a time

    @abstractmethod
    def undecided(self, question: Question, error: FaceverifyError) -> Answer:
        """Answer to a question with an error."""

    @abstractmethod
    def _prepare(self, question: Question) -> Prepared:
        """The slow part, in any thread: embed the photos of a question.

        Raises:
            FaceverifyError: an error with this question alone.
        """

    @abstractmethod
    def _decide(self, question: Question, prepared: Prepared) -> Answer:
        """The serial part, with the lock held: search, decide and log.

        Raises:
            GalleryError, ModelError, OutputError: an error that concerns more than this question.
        """

    def answer(self, question: Question) -> Answer:
        """Answer one question.

        Raises:
            ImageError, NoDecisionError: a photo cannot be read, or has no face to select.
            GalleryError, ModelError, OutputError: as documented by the subclass.
        """
        return self._decided(question, self._prepare(question))

    def answers(
        self, asked: Iterable[One], *, workers: int | None = None
    ) -> Iterator[tuple[One, Answer]]:
        """Answer many questions; yields (question, answer), in order.

        An error with a question becomes its answer; it is not raised.

        Args:
            workers: photos embedded concurrently; by default one for each processor.

        Raises:
            GalleryError, ModelError, OutputError: the gallery cannot be searched with this model,
                or the log cannot be written.
        """
        prepare = self._preparer()

        def prepared(one: One) -> tuple[One, Prepared | FaceverifyError]:
            return one, one.error or prepare(one.question)

        for one, found in map_ordered(prepared, asked, workers=workers):
            if isinstance(found, FaceverifyError):
                yield one, self.undecided(one.question, found)
            else:
                yield one, self._decided(one.question, found)

    def _preparer(self) -> Callable[[Question], Prepared | FaceverifyError]:
        """Function that prepares questions, in any thread, and returns errors."""
        return outcome_of(self._prepare)

    def _decided(self, question: Question, prepared: Prepared) -> Answer:
        with self._lock:
            return self._decide(question, prepared)

    def _log(self, event: str, facts: Iterable[dict[str, Any]]) -> None:
        if self._audit is not None:
            self._audit.append_all((event, one) for one in facts)


def outcome_of(function: Callable[[Item], Result]) -> Callable[[Item], Result | FaceverifyError]:
    """The function with errors returned rather than raised, without their traceback."""

    def outcome(item: Item) -> Result | FaceverifyError:
        try:
            return function(item)
        except FaceverifyError as error:
            # the frames of the traceback hold the photo's pixels
            error.__traceback__ = error.__cause__ = error.__context__ = None
            return error

    return outcome
