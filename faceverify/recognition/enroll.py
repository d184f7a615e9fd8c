"""The whole of enrolment behind one class: named photos in, templates of a gallery out.

A wrong template is the worst error of all: from then on, every decision about the person is made
against it. So a photo is enrolled only where it leaves no doubt: one face of some quality, which is
not nearer to another enrolled person, and not unlike what the person is enrolled with already.
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
from faceverify.gallery.store import Enrolment, Store
from faceverify.images.object_store import is_url
from faceverify.images.photo import Source, open_photo
from faceverify.recognition.admission import Admission
from faceverify.recognition.template_count import templates_of
from faceverify.runtime.parallel import map_in_batches

BATCH = 500  # templates stored at once, at most


@dataclass(frozen=True)
class NamedPhoto:
    """A photo, and whom it is said to show.

    Attributes:
        name: the person's.
        photo: its path, or "-" for standard input.
        error: why there is no photo, or no name.
    """

    name: str
    photo: str
    error: FaceverifyError | None = None


@dataclass(frozen=True)
class Enrolled:
    """What became of a photo.

    Attributes:
        name: the person's.
        photo: what the user called the photo.
        sequence: number of its template in the gallery; None where it was refused.
        already: whether it was there before.
        quality: of the face; None where it was not looked at.
        error: why it was refused.
    """

    name: str
    photo: str
    sequence: int | None = None
    already: bool = False
    quality: float | None = None
    error: FaceverifyError | None = None

    @property
    def status(self) -> str:
        """enrolled, already or refused."""
        if self.error is not None:
            return "refused"
        return "already" if self.already else "enrolled"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; the error as a code and a message."""
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


# What is known of a photo, and the template that is to be stored, where there is one.
_Examined: TypeAlias = "tuple[Enrolled, Enrolment | None]"
# A photo, and the number of its template where it is enrolled already.
Known: TypeAlias = "tuple[NamedPhoto, int | None]"
Spread: TypeAlias = "Callable[[Iterable[Known]], Iterator[_Examined]]"


class Enroller:
    """Enrols photos into a gallery.

    Args:
        extractor: from photos to templates, one face each.
        store: the gallery; used by one thread at a time, not always the same one.
        admission: refuses faces of somebody else; None to enrol them all.
        audit: told of all that was enrolled.

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

    def enrol(
        self,
        photos: Iterable[NamedPhoto],
        *,
        workers: int | None = None,
        spread: Spread | None = None,
    ) -> Iterator[Enrolled]:
        """Enrol a stream of photos; what came of each, in order, once it is on the disk.

        What is wrong with a photo goes into its answer and stops nothing.

        Args:
            workers: photos worked on at once, in threads of this process.
            spread: applies :func:`examination` in processes elsewhere, instead.

        Raises:
            GalleryError: the gallery cannot be read or written.
            OutputError: the audit log cannot be written.
        """
        if spread is None:
            batches = map_in_batches(self._examine, photos, most=BATCH, workers=workers)
        else:
            batches = _in_batches(spread(map(self._with_known, photos)))
        for batch in batches:
            with self._lock:
                answers = self._store_batch(batch)
            yield from answers

    def _examine(self, named: NamedPhoto) -> _Examined:
        """Make a photo's template; one that is enrolled already is not even decoded."""
        return _examined(named, self._extract, self._number)

    def _with_known(self, named: NamedPhoto) -> Known:
        """A photo for a worker elsewhere, with the number of its template where it has one.

        A photo behind a URL is not fetched twice to learn that: its template is made once more.
        """
        number = None
        with suppress(FaceverifyError):  # the worker meets it, too
            if named.error is None and not is_url(named.photo):
                digest = bytes.fromhex(open_photo(named.photo).sha256)
                number = self._number(checked_name(named.name), digest)
        return named, number

    def _number(self, name: str, digest: bytes) -> int | None:
        """Number of the template that a person has of a photo already.

        It spares the embedding; whether a photo is stored is decided by ``Store.add`` alone.
        """
        with self._lock:
            stored = self._store.with_photo(digest, model=self._model)
        return next((one.sequence for one in stored if one.name == name), None)

    def _store_batch(self, batch: Sequence[_Examined]) -> list[Enrolled]:
        """Store what leaves no doubt, in one step."""
        answers = [answer for answer, _ in batch]
        new = {place: one for place, (_, one) in enumerate(batch) if one is not None}
        if not new:
            return answers
        admit = None
        if self._admission is not None:
            photos = [answers[place].photo for place in new]
            admit = self._admission.examine(list(new.values()), photos)
        added = iter(self._store.add(list(new.values()), model=self._model, admit=admit))
        doubts = {} if admit is None else admit.doubts
        stored: list[tuple[int, Enrolment]] = []
        for index, (place, enrolment) in enumerate(new.items()):
            if index in doubts:
                answers[place] = replace(answers[place], error=doubts[index])
                continue
            found = next(added)
            answers[place] = replace(answers[place], sequence=found.sequence, already=not found.new)
            if found.new:
                stored.append((found.sequence, enrolment))
        if self._admission is not None:
            self._admission.grow(len(stored))
        if self._audit is not None and stored:
            self._audit.append_all(("enrol", self._facts(*one)) for one in stored)
        return answers

    def _facts(self, sequence: int, enrolment: Enrolment) -> dict[str, Any]:
        """What an audit log keeps of an enrolment."""
        return {
            "name": enrolment.name,
            "photo": enrolment.photo,
            "photo_hash": enrolment.photo_hash.hex(),
            "template": sequence,
            "model_id": self._model,
            "forced": self._admission is None,
        }


def examination(
    load: Callable[[], TemplateExtractor], *, model_id: str
) -> Callable[[Known], _Examined]:
    """Make the function that a worker in another process applies to photos.

    Raises:
        ModelError: the model of that name is another one on the worker's machine.
    """
    extractor = same_model(load(), model_id)

    def examine(known: Known) -> _Examined:
        named, number = known
        return _examined(named, extractor.extract, lambda _name, _digest: number)

    return examine


def _examined(
    named: NamedPhoto,
    extract: Callable[[Source], list[Template]],
    number: Callable[[str, bytes], int | None],
) -> _Examined:
    try:
        if named.error is not None:
            raise named.error
        name = checked_name(named.name)
        photo = open_photo(named.photo)
        digest = bytes.fromhex(photo.sha256)
        known = number(name, digest)
        if known is not None:
            return Enrolled(name, named.photo, known, already=True), None
        (template,) = extract(photo)
    except FaceverifyError as error:
        return Enrolled(named.name, named.photo, error=error), None
    quality = template.quality.score
    path = os.path.abspath(named.photo) if os.path.exists(named.photo) else photo.name
    new = Enrolment(name, template.embedding, path, digest, quality)
    return Enrolled(name, named.photo, quality=quality), new


def _in_batches(stream: Iterator[_Examined]) -> Iterator[list[_Examined]]:
    while batch := list(islice(stream, BATCH)):
        yield batch
