"""Interface of the gallery engines: the records they exchange, and the protocol ``Store``.

A store keeps templates of enrolled people, durably, and finds the nearest. Which photos may be
enrolled, and which distances match, is decided by its callers ``recognition/enroll.py`` and
``recognition/identify.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from faceverify.choices import Fusion

if TYPE_CHECKING:  # the commands import this module, and --help must not load numpy
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Enrollment:
    """A template to be stored.

    Attributes:
        name: the person's name, one line of text.
        embedding: unit length, (D,) float32.
        photo: path of the photo, absolute for a file, so that it can be embedded again.
        photo_hash: SHA-256 of the photo's content, 32 bytes.
        quality: face quality in [0, 1].
    """

    name: str
    embedding: NDArray[np.float32]
    photo: str
    photo_hash: bytes
    quality: float


@dataclass(frozen=True, eq=False)
class StoredTemplate(Enrollment):
    """A template in a store.

    Attributes:
        sequence: number of the template in its store; numbers increase and are never reused.
        model: id of the model that made the embedding.
        time: time of enrollment, seconds since 1970, UTC.
    """

    sequence: int
    model: str
    time: float


class Added(NamedTuple):
    """Result of adding a template.

    Attributes:
        sequence: its number.
        new: whether it was stored now; else the person already had one of this photo and model.
    """

    sequence: int
    new: bool


class Admit(Protocol):
    """Callback that decides which templates of a batch are stored, while no other process writes.

    Attributes:
        after: templates with greater sequence numbers are passed to the call.
    """

    after: int

    def __call__(self, late: Sequence[StoredTemplate]) -> Sequence[int]:
        """Indices of the templates to store, ascending.

        It must not use the store, and may be called repeatedly.

        Args:
            late: the model's templates with numbers greater than ``after``, in their order.
        """
        ...


@dataclass(frozen=True)
class Candidate:
    """A person found by a search.

    Attributes:
        name: the person's name.
        distance: fused cosine distance to the person's templates, in [0, 2].
        sequence: number of the nearest template; None for a distance to the mean.
    """

    name: str
    distance: float
    sequence: int | None


@dataclass(frozen=True)
class Stats:
    """Statistics of a store.

    Attributes:
        engine: "sqlite", "postgresql", "milvus".
        url: its URL, without a password.
        identities, templates: their numbers.
        models: number of templates by model id.
        details: engine-specific values (bytes, schema version, index, encryption, ...).
    """

    engine: str
    url: str
    identities: int
    templates: int
    models: dict[str, int]
    details: dict[str, Any]


class Store(Protocol):
    """Protocol of a gallery engine.

    Names are compared exactly; an unknown name gives an empty result, not an error. Every method
    raises GalleryError, in one line, if the store fails. A store is used by one thread at a time,
    not always by the same one.

    Attributes:
        url: its URL, without a password.
    """

    url: str

    def add(
        self, enrollments: Sequence[Enrollment], *, model: str, admit: Admit | None = None
    ) -> list[Added]:
        """Store templates, all or none; they are durable once this returns.

        A photo hash that the person already has with this model is not stored twice.

        Args:
            enrollments: the templates.
            model: id of the model that made them.
            admit: decides which are stored, under the write lock; None to store all.

        Returns:
            The result of each admitted template, in their order.
        """
        ...

    def search(
        self,
        queries: NDArray[np.float32],
        count: int,
        *,
        model: str,
        fusion: Fusion = Fusion.MAX,
        names: Sequence[str] | None = None,
    ) -> list[list[Candidate]]:
        """The nearest people of each query, (Q, D) -> Q lists of at most ``count``, nearest first.

        Args:
            queries: unit length, (Q, D).
            count: maximum number of people for each query.
            model: id of the model whose templates are compared.
            fusion: fusion of the distances to a person's templates.
            names: the people to search among; None for all.
        """
        ...

    def newest(self) -> int:
        """The greatest sequence number given so far.

        Later templates get greater numbers; those with smaller ones are visible to the next call.
        """
        ...

    def since(self, sequence: int, *, model: str | None = None) -> Iterator[StoredTemplate]:
        """Templates with a greater sequence number, in their order; of one model or all."""
        ...

    def of(self, name: str, *, model: str | None = None) -> list[StoredTemplate]:
        """A person's templates, in their order."""
        ...

    def with_photo(self, photo_hash: bytes, *, model: str | None = None) -> list[StoredTemplate]:
        """Templates of photos with this SHA-256."""
        ...

    def names(self) -> Iterator[tuple[str, int]]:
        """Every name with its number of templates, ordered by name."""
        ...

    def remove(self, name: str, *, sequences: Sequence[int] | None = None) -> int:
        """Remove a person, or some templates; returns the number of templates removed.

        Once this returns, their bytes are erased from the store's files.
        """
        ...

    def rename(self, old: str, new: str) -> int:
        """Rename a person; returns the number of templates. GalleryError if the new name exists."""
        ...

    def replace_model(
        self, old: str, enrollments: Sequence[Enrollment], *, model: str
    ) -> list[int]:
        """Replace all templates of model ``old`` by these, in one step."""
        ...

    def count(self) -> dict[str, int]:
        """Number of templates by model id; reads no template."""
        ...

    def stats(self) -> Stats:
        """Statistics of the store; an engine may have to read every name."""
        ...

    def check(self) -> list[str]:
        """Check every checksum; returns one line for each fault."""
        ...

    def compact(self) -> None:
        """Reclaim the space of removed templates and rebuild the search structures."""
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...

    def __enter__(self) -> Store: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
