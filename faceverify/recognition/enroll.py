"""Enrollment: named photos in, templates in a gallery.

Every later decision about a person is made against the person's templates. So a photo is refused
unless it shows one face of sufficient quality that does not match another enrolled person and does
match the person's other templates.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeAlias

from faceverify.embeddings.extractor import Template, TemplateExtractor, same_model
from faceverify.errors import FaceverifyError
from faceverify.gallery.audit import AuditLog
from faceverify.gallery.names import checked_name
from faceverify.gallery.store import Enrollment, Store
from faceverify.images.object_store import is_url
from faceverify.images.photo import Source, open_photo
from faceverify.recognition.admission import Admission
from faceverify.recognition.template_count import templates_of
from faceverify.runtime.parallel import map_in_batches

BATCH = 500  # templates stored at once, at most


@dataclass(frozen=True)
class NamedPhoto:
    """A photo and the name of the person it shows.

    Attributes:
        name: the person's name.
        photo: path of the photo, or "-" for standard input.
        error: why the photo or the name is missing; else None.
    """

    name: str
    photo: str
    error: FaceverifyError | None = None


@dataclass(frozen=True)
class Enrolled:
    """Enrollment result of a photo.

    Attributes:
        name: the person's name.
        photo: path of the photo as the user gave it.
        sequence: number of its template in the gallery; None for a refused photo.
        already: whether the template existed before.
        quality: face quality in [0, 1]; None if it was not measured.
        error: why the photo was refused; else None.
    """

    name: str
    photo: str
    sequence: int | None = None
    already: bool = False
    quality: float | None = None
    error: FaceverifyError | None = None

    @property
    def status(self) -> str:
        """One of "enrolled", "already", "refused"."""
        if self.error is not None:
            return "refused"
        return "already" if self.already else "enrolled"

    def as_dict(self) -> dict[str, Any]:
        """JSON values; the error as a code and a message."""
        return {
            "name": self.name,
            "photo": self.photo,
            "status": self.status,
            "template": self.sequence,
            "quality": None if self.quality is None else round(self.quality, 4),
            "error": None if self.error is None else self.error.as_dict(),
        }

    def __str__(self) -> str:
        """One line for people."""
        if self.error is not None:
            return f"{self.name}: refused: {self.error}"
        done = "is enrolled already," if self.already else "enrolled"
        return f"{self.name}: {self.photo} {done} as template {self.sequence}"


# The result so far, and the template to store, if any.
_Embedded: TypeAlias = "tuple[Enrolled, Enrollment | None]"
# A photo, and the number of its template if it is enrolled already.
Known: TypeAlias = "tuple[NamedPhoto, int | None]"
Spread: TypeAlias = "Callable[[Iterable[Known]], Iterator[_Embedded]]"


class Enroller:
    """Enrollment of photos into a gallery.

    Args:
        extractor: photos to embeddings, one face each.
        store: the gallery; used by one thread at a time, not always the same one.
        admission: the duplicate check; None to enroll every face.
        audit: log of everything enrolled; None for no log.

    Raises:
        GalleryError: the gallery's templates are of another model, or it cannot be read.
    """

    def __init__(
        self,
        extractor: TemplateExtractor,
        store: Store,
        admission: Admission | None,
        *,
        audit: AuditLog | None = None,
    ) -> None:
        templates_of(store, extractor.model)  # never two models in one gallery
        self._extract = extractor.extract
        self._model = extractor.model.id
        self._store = store
        self._lock = threading.Lock()
        self._admission = admission
        self._audit = audit

    def enroll(
        self,
        photos: Iterable[NamedPhoto],
        *,
        workers: int | None = None,
        spread: Spread | None = None,
    ) -> Iterator[Enrolled]:
        """Enroll a stream of photos; yields each result, in order, once it is durable.

        An error with a photo becomes its result and does not stop the stream.

        Args:
            workers: photos processed concurrently, in threads of this process.
            spread: applies :func:`enrollment_worker` in other processes, in place of threads.

        Raises:
            GalleryError: the gallery cannot be read or written.
            OutputError: the audit log cannot be written.
        """
        if spread is None:
            batches = map_in_batches(self._embed, photos, most=BATCH, workers=workers)
        else:
            batches = _in_batches(spread(map(self._with_known, photos)))
        for batch in batches:
            with self._lock:
                answers = self._store_batch(batch)
            yield from answers

    def _embed(self, named: NamedPhoto) -> _Embedded:
        """Embed a photo; one that is enrolled already is not decoded."""
        return _embedded(named, self._extract, self._number)

    def _with_known(self, named: NamedPhoto) -> Known:
        """A photo for a worker process, with the number of its template if it has one.

        A photo at a URL is not fetched twice for that: it is embedded again.
        """
        number = None
        with suppress(FaceverifyError):  # the worker reports it
            if named.error is None and not is_url(named.photo):
                digest = bytes.fromhex(open_photo(named.photo).sha256)
                number = self._number(checked_name(named.name), digest)
        return named, number

    def _number(self, name: str, digest: bytes) -> int | None:
        """Number of the template that a person already has of a photo; None if there is none.

        It saves the embedding; whether a photo is stored is decided by ``Store.add`` alone.
        """
        with self._lock:
            stored = self._store.with_photo(digest, model=self._model)
        return next((one.sequence for one in stored if one.name == name), None)

    def _store_batch(self, batch: Sequence[_Embedded]) -> list[Enrolled]:
        """Store the admitted templates of a batch, in one step."""
        answers = [answer for answer, _ in batch]
        new = {place: one for place, (_, one) in enumerate(batch) if one is not None}
        if not new:
            return answers
        admit = None
        if self._admission is not None:
            photos = [answers[place].photo for place in new]
            admit = self._admission.check_duplicates(list(new.values()), photos)
        added = iter(self._store.add(list(new.values()), model=self._model, admit=admit))
        refusals = {} if admit is None else admit.refusals
        stored: list[tuple[int, Enrollment]] = []
        for index, (place, enrollment) in enumerate(new.items()):
            if index in refusals:
                answers[place] = replace(answers[place], error=refusals[index])
                continue
            found = next(added)
            answers[place] = replace(answers[place], sequence=found.sequence, already=not found.new)
            if found.new:
                stored.append((found.sequence, enrollment))
        if self._admission is not None:
            self._admission.grow(len(stored))
        if self._audit is not None and stored:
            self._audit.append_all(("enroll", self._facts(*one)) for one in stored)
        return answers

    def _facts(self, sequence: int, enrollment: Enrollment) -> dict[str, Any]:
        """Audit log entry of an enrollment."""
        return {
            "name": enrollment.name,
            "photo": enrollment.photo,
            "photo_hash": enrollment.photo_hash.hex(),
            "template": sequence,
            "model_id": self._model,
            "forced": self._admission is None,
        }


def enrollment_worker(
    load: Callable[[], TemplateExtractor], *, model_id: str
) -> Callable[[Known], _Embedded]:
    """Function that a worker process applies to photos.

    Args:
        load: loads the extractor on the worker.
        model_id: id that its model must have.

    Raises:
        ModelError: the worker's machine has another model under that name.
    """
    extractor = same_model(load(), model_id)

    def embed(known: Known) -> _Embedded:
        named, number = known
        return _embedded(named, extractor.extract, lambda _name, _digest: number)

    return embed


def _embedded(
    named: NamedPhoto,
    extract: Callable[[Source], list[Template]],
    number: Callable[[str, bytes], int | None],
) -> _Embedded:
    try:
        if named.error is not None:
            raise named.error
        name = checked_name(named.name)
        photo = open_photo(named.photo)
        digest = bytes.fromhex(photo.sha256)
        known = number(name, digest)
        if known is not None:
            return Enrolled(name, named.photo, known, already=True), None
        (found,) = extract(photo)
    except FaceverifyError as error:
        return Enrolled(named.name, named.photo, error=error), None
    quality = found.quality.score
    path = os.path.abspath(named.photo) if os.path.exists(named.photo) else photo.name
    new = Enrollment(name, found.embedding, path, digest, quality)
    return Enrolled(name, named.photo, quality=quality), new


def _in_batches(stream: Iterator[_Embedded]) -> Iterator[list[_Embedded]]:
    while batch := list(islice(stream, BATCH)):
        yield batch
