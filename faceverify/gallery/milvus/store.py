"""The gallery on Milvus, for tens of millions of templates and more: a cluster, or milvus-lite.

What Milvus gives: exact search (FLAT) over many machines; what a process wrote is seen by its next
search, and what anybody wrote before the gallery was opened, too (``freshness.py``); a
template that was acknowledged is in the server's log, or in the file of milvus-lite.

What it does not give, and the other engines do:

- a transaction: a batch of more than 16 MB, a new name and a new model are several steps.
  Each may be repeated after an interruption until it is done, and none is lost half-way;
- what others write meanwhile: a gallery that is open sees it within some seconds. So two processes
  that enrol one face under two names within these seconds both succeed: see docs/gallery.md;
- sequence numbers in the order of the commits: they come from the clocks of the writers. Who goes
  on from the last number it saw misses what a writer with a slow clock adds later under a smaller;
- erasure: a removed template is found no more at once, but its bytes stay until Milvus compacts its
  segments and collects the garbage, hours later by default; milvus-lite does not promise when;
- a disk write for each commit: milvus-lite survives a kill, not always a power cut.
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
from faceverify.gallery.store import Added, Admit, Candidate, Enrolment, Stats, StoredTemplate
from faceverify.gallery.validation import check_enrolments, check_name, check_queries


class MilvusStore:
    """A gallery on Milvus; a :class:`~faceverify.gallery.store.Store`. Use it from one thread.

    Args:
        url: ``milvus://host:port/gallery`` or ``milvus:///path/to/file.db``.
        create: make the gallery where there is none.

    Raises:
        GalleryError: the server cannot be reached, the file is in use; there is no such gallery,
            or one of a newer version.
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
        """Let go of the connection; of a file, when nothing of this process uses it any more."""
        disconnect(self._client, self._address)

    def add(
        self, enrolments: Sequence[Enrolment], *, model: str, admit: Admit | None = None
    ) -> list[Added]:
        """Store templates; see the protocol and the module about what is all or none here.

        A stored template keeps its time. Others may write while ``admit`` decides.
        """
        if not enrolments:
            return []
        known = self._model(model)
        width = None if known is None else known.dimension
        dimension = check_enrolments(enrolments, width=width, model=model)
        with failures(self._address):
            if known is None:
                known = make_model(self._client, self._address.gallery, model, dimension)
                self._models[model] = known
            if admit is not None:
                places = admit(list(templates_since(self._client, known, admit.after)))
                enrolments = [enrolments[place] for place in places]
            return writing.store(self._client, known, enrolments, self._numbers)

    def search(
        self,
        queries: NDArray[np.float32],
        count: int,
        *,
        model: str,
        fusion: Fusion = Fusion.MAX,
        names: Sequence[str] | None = None,
    ) -> list[list[Candidate]]:
        """The nearest people of each query; always exact. Means are computed on this side."""
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
        """What this process writes from now on gets a greater number; see the module on others."""
        return self._numbers.newest()

    def since(self, sequence: int, *, model: str | None = None) -> Iterator[StoredTemplate]:
        """Templates with a greater sequence number, in their order; see the module on late ones."""
        streams = [
            templates_since(self._client, known, sequence) for known in self._all_models(model)
        ]
        with failures(self._address):
            yield from heapq.merge(*streams, key=lambda one: one.sequence)

    def of(self, name: str, *, model: str | None = None) -> list[StoredTemplate]:
        """A person's templates, in their order."""
        return self._templates(person(name), model)

    def with_photo(self, photo_hash: bytes, *, model: str | None = None) -> list[StoredTemplate]:
        """Templates made of a photo of this content."""
        return self._templates(f'photo_hash == "{photo_hash.hex()}"', model)

    def names(self) -> Iterator[tuple[str, int]]:
        """Every person with the number of templates, ordered by name.

        All names are read, and held, before the first is told: Milvus orders nothing.
        """
        with failures(self._address):
            return iter(sorted(people(self._client, self._all_models(None))))

    def remove(self, name: str, *, sequences: Sequence[int] | None = None) -> int:
        """Remove a person or some templates: found no more, but see the module on their bytes."""
        models = self._all_models(None)
        with failures(self._address):
            return sum(writing.remove(self._client, known, name, sequences) for known in models)

    def rename(self, old: str, new: str) -> int:
        """Rename a person; returns how many templates. Interrupted, it can be repeated."""
        check_name(new)
        models = self._all_models(None)
        with failures(self._address):
            return writing.rename(self._client, models, old, new)

    def replace_model(self, old: str, enrolments: Sequence[Enrolment], *, model: str) -> list[int]:
        """Store these templates, then drop those of model ``old``; repeat it if interrupted."""
        before = self._model(old)
        if old == model and before is not None and enrolments:
            check_enrolments(enrolments, width=before.dimension, model=model)
            with failures(self._address):
                return writing.replace(self._client, before, enrolments, self._numbers)
        sequences = [one.sequence for one in self.add(enrolments, model=model)]
        if before is not None:
            with failures(self._address):
                drop_model(self._client, self._address.gallery, before)
            self._models.pop(old, None)
        return sequences

    def count(self) -> dict[str, int]:
        """How many templates of each model there are: Milvus counts."""
        models = self._all_models(None)
        with failures(self._address):
            counts = {known.name: count(self._client, known) for known in models}
        return {name: found for name, found in counts.items() if found}

    def stats(self) -> Stats:
        """What the gallery holds. Milvus counts no people: every template's name is read."""
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
        """Check every template's checksum, and that each is stored once and under its own key."""
        models = self._all_models(None)
        with failures(self._address):
            return [line for known in models for line in damages(self._client, known)]

    def compact(self) -> None:
        """Ask Milvus to write its segments anew; it does so, and forgets, in its own time."""
        with failures(self._address):
            for known in self._all_models(None):
                self._client.flush(known.collection)
                self._client.compact(known.collection)

    def _open(self, *, create: bool) -> None:
        """Make sure that there is a gallery of ours."""
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
            cure="enrol somebody, which makes it",
            code="gallery-missing",
        )

    def _model(self, name: str) -> Model | None:
        """A model of the gallery; another process may just have added it."""
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
