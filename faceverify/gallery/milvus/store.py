"""The Milvus engine, for tens of millions of templates and more: a cluster, or milvus-lite.

Milvus offers exact search (FLAT) over many machines. A process sees its own writes in its next
search, and everything written before it opened the gallery (``consistency.py``). An acknowledged
template is in the server's log, or in the file of milvus-lite.

Unlike the other engines it does not offer:

- transactions: a batch of more than 16 MB, a rename and a new model are several steps. Each can be
  repeated after an interruption until it is complete;
- immediate visibility of others' writes: an open gallery sees them within seconds. Two processes
  that enroll one face under two names within these seconds both succeed: see docs/gallery.md;
- sequence numbers in commit order: they come from the clocks of the writers. A reader that
  continues from the last number it saw misses a smaller one added later by a slow clock;
- erasure: a removed template is not found any more, but its bytes stay until Milvus compacts its
  segments and collects the garbage, by default hours later; milvus-lite does not say when;
- a disk sync for each commit: milvus-lite survives a kill, not always a power cut.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import GalleryError

try:
    import pymilvus as _driver  # noqa: F401 - the modules below need it
except ImportError as problem:
    raise GalleryError(
        "a milvus:// gallery needs pymilvus", cure="pip install 'faceverify[milvus]'"
    ) from problem

from faceverify.choices import Fusion
from faceverify.gallery.milvus import writing
from faceverify.gallery.milvus.address import parse
from faceverify.gallery.milvus.collections import (
    VERSION,
    Model,
    drop_model,
    make_list,
    make_model,
    models_of,
    person,
    version_of,
)
from faceverify.gallery.milvus.connection import connect, disconnect, failures, make_folder
from faceverify.gallery.milvus.reading import (
    count,
    damages,
    people,
    templates_since,
    templates_where,
)
from faceverify.gallery.milvus.rows import SequenceNumbers
from faceverify.gallery.milvus.search import nearest_means, nearest_templates
from faceverify.gallery.store import Added, Admit, Candidate, Enrollment, Stats, StoredTemplate
from faceverify.gallery.validation import check_enrollments, check_name, check_queries


class MilvusStore:
    """A gallery on Milvus; a :class:`~faceverify.gallery.store.Store`, used by one thread.

    Args:
        url: ``milvus://host:port/gallery`` or ``milvus:///path/to/file.db``.
        create: create the gallery if it does not exist.

    Raises:
        GalleryError: the server cannot be reached; the file is in use; the gallery does not exist,
            or is of a newer version.
    """

    def __init__(self, url: str, *, create: bool = False) -> None:
        self._address = address = parse(url)
        self.url = address.shown
        self._numbers = SequenceNumbers()
        if address.file is not None:
            if not create and not address.file.exists():
                raise self._missing()
            make_folder(address, address.file)
        self._client = connect(address)
        try:
            with failures(address):
                self._open(create=create)
                self._models = models_of(self._client, address.gallery)
                for model in self._models.values():
                    self._client.load_collection(model.collection)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> MilvusStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; a file is closed with its last connection in this process."""
        disconnect(self._client, self._address)

    def add(
        self, enrollments: Sequence[Enrollment], *, model: str, admit: Admit | None = None
    ) -> list[Added]:
        """Store templates; durable, but not atomic: see the module.

        A stored template keeps its time. Others may write while ``admit`` decides.
        """
        if not enrollments:
            return []
        known = self._model(model)
        width = None if known is None else known.dimension
        dimension = check_enrollments(enrollments, width=width, model=model)
        with failures(self._address):
            if known is None:
                known = make_model(self._client, self._address.gallery, model, dimension)
                self._models[model] = known
            if admit is not None:
                places = admit(list(templates_since(self._client, known, admit.after)))
                enrollments = [enrollments[place] for place in places]
            return writing.store(self._client, known, enrollments, self._numbers)

    def search(
        self,
        queries: NDArray[np.float32],
        count: int,
        *,
        model: str,
        fusion: Fusion = Fusion.MAX,
        names: Sequence[str] | None = None,
    ) -> list[list[Candidate]]:
        """The nearest people of each query; always exact. Means are computed by the client."""
        known = self._model(model)
        if known is None:
            return [[] for _ in queries]
        check_queries(queries, width=known.dimension, model=model)
        if count < 1 or not len(queries) or (names is not None and not names):
            return [[] for _ in queries]
        nearest = nearest_means if fusion is Fusion.MEAN else nearest_templates
        with failures(self._address):
            return nearest(self._client, known, queries, count, names=names)

    def newest(self) -> int:
        """Later templates of this process get greater numbers; for others, see the module."""
        return self._numbers.newest()

    def since(self, sequence: int, *, model: str | None = None) -> Iterator[StoredTemplate]:
        """Templates with a greater sequence number, in their order; see the module."""
        streams = [
            templates_since(self._client, known, sequence) for known in self._all_models(model)
        ]
        with failures(self._address):
            yield from heapq.merge(*streams, key=lambda one: one.sequence)

    def of(self, name: str, *, model: str | None = None) -> list[StoredTemplate]:
        """A person's templates, in their order."""
        return self._templates(person(name), model)

    def with_photo(self, photo_hash: bytes, *, model: str | None = None) -> list[StoredTemplate]:
        """Templates of photos with this SHA-256."""
        return self._templates(f'photo_hash == "{photo_hash.hex()}"', model)

    def names(self) -> Iterator[tuple[str, int]]:
        """Every name with its number of templates, ordered by name.

        All names are read into memory first, as Milvus cannot sort them.
        """
        with failures(self._address):
            return iter(sorted(people(self._client, self._all_models(None))))

    def remove(self, name: str, *, sequences: Sequence[int] | None = None) -> int:
        """Remove a person or some templates; for the erasure of their bytes, see the module."""
        models = self._all_models(None)
        with failures(self._address):
            return sum(writing.remove(self._client, known, name, sequences) for known in models)

    def rename(self, old: str, new: str) -> int:
        """Rename a person; returns the number of templates. It can be repeated if interrupted."""
        check_name(new)
        models = self._all_models(None)
        with failures(self._address):
            return writing.rename(self._client, models, old, new)

    def replace_model(
        self, old: str, enrollments: Sequence[Enrollment], *, model: str
    ) -> list[int]:
        """Store these templates, then drop those of model ``old``; repeat it if interrupted."""
        before = self._model(old)
        if old == model and before is not None and enrollments:
            check_enrollments(enrollments, width=before.dimension, model=model)
            with failures(self._address):
                return writing.replace(self._client, before, enrollments, self._numbers)
        sequences = [one.sequence for one in self.add(enrollments, model=model)]
        if before is not None:
            with failures(self._address):
                drop_model(self._client, self._address.gallery, before)
            self._models.pop(old, None)
        return sequences

    def count(self) -> dict[str, int]:
        """Number of templates by model id, counted by Milvus."""
        models = self._all_models(None)
        with failures(self._address):
            counts = {known.name: count(self._client, known) for known in models}
        return {name: found for name, found in counts.items() if found}

    def stats(self) -> Stats:
        """Statistics of the gallery. To count people, the name of every template is read."""
        counts = self.count()
        lite = self._address.file is not None
        with failures(self._address):
            identities = sum(1 for _ in people(self._client, list(self._models.values())))
            details = {
                "schema_version": VERSION,
                "server": "milvus-lite" if lite else self._client.get_server_version(),
                "index": "FLAT",
                "consistency": "own writes at once, others' within seconds",
            }
        return Stats("milvus", self.url, identities, sum(counts.values()), counts, details)

    def check(self) -> list[str]:
        """Check every template's checksum, and that it is stored once, under its key."""
        models = self._all_models(None)
        with failures(self._address):
            return [line for known in models for line in damages(self._client, known)]

    def compact(self) -> None:
        """Ask Milvus to compact its segments, which it does asynchronously."""
        with failures(self._address):
            for known in self._all_models(None):
                self._client.flush(known.collection)
                self._client.compact(known.collection)

    def _open(self, *, create: bool) -> None:
        """Check that the gallery exists, or create it."""
        gallery, shown = self._address.gallery, self._address.shown
        version = version_of(self._client, gallery)
        if version is None:
            if not create:
                raise self._missing()
            make_list(self._client, gallery)
        elif version == 0:
            raise GalleryError(
                f"{shown}: the collection {gallery} is another program's",
                cure="choose another name",
                code="gallery-foreign",
            )
        elif version > VERSION:
            raise GalleryError(
                f"{shown}: schema {version}, and this version of faceverify knows {VERSION}",
                cure="update faceverify",
                code="gallery-newer",
            )

    def _missing(self) -> GalleryError:
        return GalleryError(
            f"{self._address.shown}: there is no such gallery",
            cure="enroll somebody, which makes it",
            code="gallery-missing",
        )

    def _model(self, name: str) -> Model | None:
        """A model of the gallery, also one that another process has just added; else None."""
        if name not in self._models:
            self._all_models(None)
        return self._models.get(name)

    def _all_models(self, name: str | None) -> list[Model]:
        with failures(self._address):
            self._models = models_of(self._client, self._address.gallery)
        return [model for model in self._models.values() if name in (None, model.name)]

    def _templates(self, condition: str, model: str | None) -> list[StoredTemplate]:
        models = self._all_models(model)
        with failures(self._address):
            return templates_where(self._client, models, condition)
