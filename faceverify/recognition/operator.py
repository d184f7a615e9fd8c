"""A model in operation: what verification, claims and identification have in common.

photos -> embeddings, in worker threads -> answers, one at a time, in the order of the questions
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from faceverify.embeddings.extractor import TemplateExtractor
from faceverify.errors import FaceverifyError
from faceverify.gallery.audit import AuditLog
from faceverify.runtime.parallel import map_ordered

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
        """What is asked."""

    @property
    def error(self) -> FaceverifyError | None:
        """Why it cannot be answered, such as a damaged line; None where it can."""


@dataclass(frozen=True)
class Plain(Generic[Question]):
    """A question alone."""

    question: Question
    error: FaceverifyError | None = None


class Operator(ABC, Generic[Question, Prepared, Answer]):
    """Answers questions about photos with one model; safe to use from several threads.

    Args:
        extractor: from photos to templates.
        audit: holds every answer before it is given; None to keep no log.
    """

    def __init__(self, extractor: TemplateExtractor, audit: AuditLog | None = None) -> None:
        self.model = extractor.model
        self._extract = extractor.extract
        self._audit = audit
        self._lock = threading.Lock()  # of the gallery: a store is used by one thread at a time

    @abstractmethod
    def undecided(self, question: Question, error: FaceverifyError) -> Answer:
        """The answer to a question that something is wrong with."""

    @abstractmethod
    def _prepare(self, question: Question) -> Prepared:
        """Do in any thread what takes long: embed the photos of a question.

        Raises:
            FaceverifyError: what is wrong with this question.
        """

    @abstractmethod
    def _decide(self, question: Question, prepared: Prepared) -> Answer:
        """Do what is done one question at a time, with the lock held: search, and log.

        Raises:
            GalleryError, ModelError, OutputError: what is wrong with more than this question.
        """

    def answer(self, question: Question) -> Answer:
        """Answer one question.

        Raises:
            ImageError, NoDecisionError: a photo cannot be read, or shows no face that is meant.
            GalleryError, ModelError, OutputError: as the operator says.
        """
        return self._decided(question, self._prepare(question))

    def answers(
        self, asked: Iterable[One], *, workers: int | None = None
    ) -> Iterator[tuple[One, Answer]]:
        """Answer many questions, in their order; each question comes with its answer.

        What is wrong with a question goes into its answer; nothing is raised for it.

        Args:
            workers: photos embedded at once; by default one for each processor.

        Raises:
            GalleryError, ModelError, OutputError: the gallery cannot be searched with this model,
                or the log not be written.
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
        """What prepares many questions, in any thread; an error where one cannot be answered."""
        return outcome_of(self._prepare)

    def _decided(self, question: Question, prepared: Prepared) -> Answer:
        with self._lock:
            return self._decide(question, prepared)

    def _log(self, event: str, facts: Iterable[dict[str, Any]]) -> None:
        if self._audit is not None:
            self._audit.append_all((event, one) for one in facts)


def outcome_of(function: Callable[[Item], Result]) -> Callable[[Item], Result | FaceverifyError]:
    """A function that returns what it would raise: an error to be kept, without its traceback."""

    def outcome(item: Item) -> Result | FaceverifyError:
        try:
            return function(item)
        except FaceverifyError as error:
            # what it was raised from holds the photo's pixels
            error.__traceback__ = error.__cause__ = error.__context__ = None
            return error

    return outcome
