"""The seam between the gallery and whatever stores it: records and a protocol.

A store keeps templates of enrolled people and finds the nearest. What it acknowledged is on the
disk. Which photos may be enrolled, and what a distance means, is decided above it, in
``recognition/enroll.py`` and ``recognition/identify.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from faceverify.choices import Fusion

if TYPE_CHECKING:  # options of commands come from here, and --help loads nothing else
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Enrolment:
    """A template to be stored.

    Attributes:
        name: the person's; any text of one line.
        embedding: of length 1, (D,) float32.
        photo: path of the photo, absolute where it is a file, so that it can be embedded again.
        photo_hash: SHA-256 of the photo's content, 32 bytes.
        quality: of the face, in [0, 1].
    """

    name: str
    embedding: NDArray[np.float32]
    photo: str
    photo_hash: bytes
    quality: float


@dataclass(frozen=True, eq=False)
class StoredTemplate(Enrolment):
    """A template as a store holds it.

    Attributes:
        sequence: number of the template in its store; they rise and are never used again.
        model: id of the model that made the embedding.
        time: when it was enrolled, seconds since 1970, UTC.
    """

    sequence: int
    model: str
    time: float


class Added(NamedTuple):
    """What became of a template that was given to a store.

    Attributes:
        sequence: its number.
        new: whether it was stored now; else the person had one of this photo and model already.
    """

    sequence: int
    new: bool


class Admit(Protocol):
    """Decides which of a batch are stored, once no other process can write.

    Attributes:
        after: templates with greater numbers are given with the call.
    """

    after: int

    def __call__(self, late: Sequence[StoredTemplate]) -> Sequence[int]:
        """The places of those to store, rising. It must not use the store, and may be asked again.

        Args:
            late: what the gallery holds of the model after that number, in its order.
        """
        ...


@dataclass(frozen=True)
class Candidate:
    """A person that a search found.

    Attributes:
        name: the person's.
        distance: cosine distance in [0, 2], of the person's templates fused.
        sequence: of the nearest template; None where the templates' mean was compared.
    """

    name: str
    distance: float
    sequence: int | None


@dataclass(frozen=True)
class Stats:
    """What a store holds.

    Attributes:
        engine: "sqlite", "postgresql", "milvus".
        url: where, without a password.
        identities, templates: how many.
        models: id of each model, and how many of the templates are its.
        details: what only this engine has to tell (bytes, schema version, index, encryption, ...).
    """

    engine: str
    url: str
    identities: int
    templates: int
    models: dict[str, int]
    details: dict[str, Any]


class Store(Protocol):
    """What every engine does. Names are compared exactly; a name unknown is no error but nothing.

    Every method raises GalleryError, in one line, where the store cannot do it. A store is used by
    one thread at a time, not always by the same one.

    Attributes:
        url: where it is, without a password.
    """

    url: str

    def add(
        self, enrolments: Sequence[Enrolment], *, model: str, admit: Admit | None = None
    ) -> list[Added]:
        """Store templates, all or none; they are durable once this returns.

        A photo hash that the same person has with this model already is not stored twice.

        Args:
            admit: decides which are stored; all are, without it. Between the decision and what it
                decides about, no other process writes.

        Returns:
            What became of each that was admitted, in their order.
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
            model: only templates of this model are compared.
            names: only these people, where it is given.
        """
        ...

    def newest(self) -> int:
        """The greatest number that a template was given so far; whatever comes gets a greater one.

        What has a smaller one can be seen by whatever is asked next.
        """
        ...

    def since(self, sequence: int, *, model: str | None = None) -> Iterator[StoredTemplate]:
        """Templates with a greater sequence number, in their order; of all models by default."""
        ...

    def of(self, name: str, *, model: str | None = None) -> list[StoredTemplate]:
        """A person's templates, in their order."""
        ...

    def with_photo(self, photo_hash: bytes, *, model: str | None = None) -> list[StoredTemplate]:
        """Templates made of a photo of this content."""
        ...

    def names(self) -> Iterator[tuple[str, int]]:
        """Every person with the number of templates, ordered by name."""
        ...

    def remove(self, name: str, *, sequences: Sequence[int] | None = None) -> int:
        """Remove a person, or some of the person's templates; returns how many templates went.

        Once this returns, their bytes are gone from the store's own files, too.
        """
        ...

    def rename(self, old: str, new: str) -> int:
        """Rename a person; returns how many templates. An existing new name is a GalleryError."""
        ...

    def replace_model(self, old: str, enrolments: Sequence[Enrolment], *, model: str) -> list[int]:
        """Drop all templates of model ``old`` and store these of another instead, in one step."""
        ...

    def count(self) -> dict[str, int]:
        """How many templates of each model there are, by its id; no template is read for it."""
        ...

    def stats(self) -> Stats:
        """What the store holds; an engine may have to read every name for it."""
        ...

    def check(self) -> list[str]:
        """Check every checksum; returns one line for each thing that is wrong."""
        ...

    def compact(self) -> None:
        """Give back the space of what was removed; build the search structures anew."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...

    def __enter__(self) -> Store: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
