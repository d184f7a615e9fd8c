"""Search in an embedded gallery: the index proposes, the database confirms each candidate."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceverify.choices import CodeMethod, Fusion, SearchMethod
from faceverify.errors import GalleryError
from faceverify.gallery.sqlite import reading, writing
from faceverify.gallery.sqlite.binary_index import BinaryIndex, CodeFit, fit_codes, measure_codes
from faceverify.gallery.sqlite.database import Database
from faceverify.gallery.sqlite.index import TemplateIndex
from faceverify.gallery.sqlite.manifest import Manifest, ModelRows, RowSet
from faceverify.gallery.sqlite.mean_index import mean_of, means_of
from faceverify.gallery.sqlite.nearest import Found, Rows, nearest
from faceverify.gallery.sqlite.search_file_writing import publish
from faceverify.gallery.store import Candidate, StoredTemplate
from faceverify.gallery.validation import check_queries
from faceverify.matching.distance import cosine_distance

FEW = 100  # up to this many people, templates are read from the database, not from the index
RETRY_SECONDS = 60.0  # until a search file that could not be written is tried again
ERROR = 1e-6  # largest difference of two distances to the same template


class Searcher:
    """Searches of a gallery, with an index for each model.

    Args:
        database: the gallery.
        method: search method; searches of means and among given names are always exact.
    """

    def __init__(self, database: Database, method: SearchMethod) -> None:
        self._database = database
        self._templates: dict[str, TemplateIndex] = {}
        self._means: dict[str, tuple[RowSet, Rows]] = {}  # by model, with what they are of
        self._codes: dict[str, BinaryIndex] = {}
        self._method = method
        self._retry_after = 0.0

    def search(
        self,
        queries: NDArray[np.float32],
        count: int,
        *,
        model: str,
        fusion: Fusion,
        names: Sequence[str] | None,
    ) -> list[list[Candidate]]:
        """See :meth:`faceverify.gallery.store.Store.search`."""
        if names is None or len(names) > FEW:
            self.renew(model)
        with self._database.reading() as manifest:
            known = manifest.models.get(model)
            if known is None:
                return [[] for _ in queries]
            check_queries(queries, width=known.width, model=model)
            for _ in range(2):
                parts = self._parts(manifest, known, fusion, names)
                exact = self._method is SearchMethod.EXACT or fusion is Fusion.MEAN
                if exact or names is not None:
                    found = nearest(parts, queries, count)
                else:
                    found = self._binary_index(model).nearest(self.index(model), queries, count)
                answer = self._confirmed(found, queries, manifest, model, fusion)
                if answer is not None:
                    return answer
                self.forget()  # the mapped file has changed: read everything again
        raise GalleryError(
            f"{self._database.path}: the templates found are not those enrolled",
            cure="restore a backup; faceverify gallery verify tells more",
            code="gallery-damaged",
        )

    def renew(self, model: str) -> None:
        """Rewrite the model's search file if it is overdue and can be written."""
        index = self.index(model)
        if time.monotonic() < self._retry_after or not self._overdue(index, model):
            return
        index.load()  # another process may have renewed it
        if self._overdue(index, model):
            if publish(self._database, model):
                index.load()
            else:
                self._retry_after = time.monotonic() + RETRY_SECONDS

    def forget(self) -> None:
        """Drop all indexes."""
        self._templates.clear()
        self._means.clear()
        self._codes.clear()

    def _overdue(self, index: TemplateIndex, model: str) -> bool:
        with self._database.reading() as manifest:
            return model in manifest.models and index.overdue(manifest)

    def index(self, model: str) -> TemplateIndex:
        """Index of a model's templates; empty until the first search."""
        if model not in self._templates:
            self._templates[model] = TemplateIndex(self._database, model)
        return self._templates[model]

    def _parts(
        self, manifest: Manifest, known: ModelRows, fusion: Fusion, names: Sequence[str] | None
    ) -> Sequence[Rows]:
        """Rows to search: all, or those of the given names."""
        people = None if names is None else self._people(names)
        if people is not None and len(people) <= FEW:
            few = self._rows_of(manifest, people, known)
            return [means_of([few])] if fusion is Fusion.MEAN else [few]
        index = self.index(known.name)
        parts = index.refresh(manifest)
        if fusion is Fusion.MEAN:
            parts = [self._all_means(known, parts)]
        return parts if people is None else [part.of(people) for part in parts]

    def _all_means(self, known: ModelRows, parts: Sequence[Rows]) -> Rows:
        """Mean of each person's templates; recomputed after any change of the templates."""
        of, means = self._means.get(known.name, (None, None))
        if means is None or of != known.rows:
            means = means_of(parts)
            self._means[known.name] = known.rows, means
        return means

    def fit_codes(self, model: str, *, bits: int, method: CodeMethod) -> CodeFit:
        """Fit binary codes to all templates of a model, and measure size, speed and recall."""
        self.renew(model)
        with self._database.reading() as manifest:
            if model not in manifest.models:
                raise GalleryError(
                    f"{self._database.folder}: holds no template of model {model}",
                    cure="enroll people first",
                )
            index = self.index(model)
            parts = index.refresh(manifest)
        fit_codes(
            self._database, parts[0].at(_alive(parts[0])), model=model, bits=bits, method=method
        )
        self._codes.pop(model, None)
        return measure_codes(self._binary_index(model), index, parts)

    def _binary_index(self, model: str) -> BinaryIndex:
        if model not in self._codes:
            self._codes[model] = BinaryIndex(self._database, model)
        return self._codes[model]

    def _people(self, names: Sequence[str]) -> NDArray[np.int32]:
        database = self._database
        found = (writing.identity_of(database.sql, database.protection, name) for name in names)
        return np.array(sorted({one for one in found if one is not None}), np.int32)

    def _rows_of(self, manifest: Manifest, people: NDArray[np.int32], known: ModelRows) -> Rows:
        """Templates of a few people, from the database."""
        owned = [(one, t) for one in people.tolist() for t in self._of(manifest, one, known.name)]
        embeddings = [template.embedding for _, template in owned]
        return Rows(
            np.array(embeddings, np.float32).reshape(len(owned), known.width),
            np.array([owner for owner, _ in owned], np.int32),
            np.array([template.sequence for _, template in owned], np.int64),
        )

    def _of(self, manifest: Manifest, identity: int, model: str) -> list[StoredTemplate]:
        found = reading.templates(self._database, manifest, reading.OF_PERSON, identity)
        return [template for template in found if template.model == model]

    def _confirmed(
        self,
        found: list[list[Found]],
        queries: NDArray[np.float32],
        manifest: Manifest,
        model: str,
        fusion: Fusion,
    ) -> list[list[Candidate]] | None:
        """Candidates confirmed by the database; None if it disagrees with the index."""
        seen: dict[int, tuple[str, NDArray[np.float32]] | None] = {}
        answer: list[list[Candidate]] = []
        for query, row in zip(queries, found, strict=True):
            answer.append([])
            for one in row:
                key = one.sequence if fusion is Fusion.MAX else one.identity
                if key not in seen:
                    seen[key] = self._stored(one, manifest, model, fusion)
                stored = seen[key]
                if stored is None:
                    return None
                name, embedding = stored
                distance = float(cosine_distance(embedding, query))
                if not abs(distance - one.distance) <= ERROR:
                    return None
                sequence = one.sequence if fusion is Fusion.MAX else None
                answer[-1].append(Candidate(name, distance, sequence))
        return answer

    def _stored(
        self, found: Found, manifest: Manifest, model: str, fusion: Fusion
    ) -> tuple[str, NDArray[np.float32]] | None:
        """Name and embedding of a found row in the database; None if it is not there."""
        if fusion is Fusion.MEAN:
            templates = self._of(manifest, found.identity, model)
        else:
            templates = reading.templates(
                self._database, manifest, reading.NUMBERED, found.sequence
            )
        if not templates or templates[0].model != model:
            return None
        mean = fusion is Fusion.MEAN
        rows = [template.embedding for template in templates]
        return templates[0].name, mean_of(np.stack(rows)) if mean else rows[0]


def _alive(part: Rows) -> NDArray[np.bool_]:
    return np.ones(len(part), bool) if part.alive is None else part.alive
