"""Search in an embedded gallery: the nearest by the index, each confirmed by the database."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceverify.choices import CodeMethod, Fusion, SearchMethod
from faceverify.errors import GalleryError
from faceverify.gallery.sqlite import reading, writing
from faceverify.gallery.sqlite.binary_index import CodeFit, CodeIndex, fit_codes, measure_codes
from faceverify.gallery.sqlite.database import Database
from faceverify.gallery.sqlite.index import TemplateIndex
from faceverify.gallery.sqlite.manifest import ModelRows, RowSet, State
from faceverify.gallery.sqlite.mean_index import mean_of, means_of
from faceverify.gallery.sqlite.nearest import Found, Rows, nearest
from faceverify.gallery.sqlite.search_file_writing import publish
from faceverify.gallery.store import Candidate, StoredTemplate
from faceverify.gallery.validation import check_queries
from faceverify.matching.distance import cosine_distance

FEW = 100  # people whose templates are read from the database rather than looked for in the index
AGAIN = 60.0  # seconds until a search file that could not be written is tried again
ERROR = 1e-6  # a distance that differs more was not measured on the same template


class Searcher:
    """The indexes of a gallery, by model.

    Args:
        method: how templates are looked for; means, and those of people named, exactly.
    """

    def __init__(self, database: Database, method: SearchMethod) -> None:
        self._database = database
        self._templates: dict[str, TemplateIndex] = {}
        self._means: dict[str, tuple[RowSet, Rows]] = {}  # by model, with what they are of
        self._codes: dict[str, CodeIndex] = {}
        self._method = method
        self._hopeless_until = 0.0

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
        with self._database.reading() as state:
            known = state.models.get(model)
            if known is None:
                return [[] for _ in queries]
            check_queries(queries, width=known.width, model=model)
            for _ in range(2):
                parts = self._parts(state, known, fusion, names)
                exact = self._method is SearchMethod.EXACT or fusion is Fusion.MEAN
                if exact or names is not None:
                    found = nearest(parts, queries, count)
                else:
                    found = self._code_index(model).nearest(self.index(model), queries, count)
                answer = self._confirmed(found, queries, state, model, fusion)
                if answer is not None:
                    return answer
                self.forget()  # what is mapped is not what was checked: read all anew
        raise GalleryError(
            f"{self._database.path}: the templates found are not those enrolled",
            cure="restore a backup; faceverify gallery verify tells more",
            code="gallery-damaged",
        )

    def renew(self, model: str) -> None:
        """Write the model's search file anew where that is due and can be done."""
        index = self.index(model)
        if time.monotonic() < self._hopeless_until or not self._overdue(index, model):
            return
        index.load()  # another process may have renewed it
        if self._overdue(index, model):
            if publish(self._database, model):
                index.load()
            else:
                self._hopeless_until = time.monotonic() + AGAIN

    def forget(self) -> None:
        """Let go of all indexes."""
        self._templates.clear()
        self._means.clear()
        self._codes.clear()

    def _overdue(self, index: TemplateIndex, model: str) -> bool:
        with self._database.reading() as state:
            return model in state.models and index.overdue(state)

    def index(self, model: str) -> TemplateIndex:
        """The index of a model's templates; empty until something is searched."""
        if model not in self._templates:
            self._templates[model] = TemplateIndex(self._database, model)
        return self._templates[model]

    def _parts(
        self, state: State, known: ModelRows, fusion: Fusion, names: Sequence[str] | None
    ) -> Sequence[Rows]:
        """What is to be searched: all, or the rows of the people named."""
        people = None if names is None else self._people(names)
        if people is not None and len(people) <= FEW:
            few = self._rows_of(state, people, known)
            return [means_of([few])] if fusion is Fusion.MEAN else [few]
        index = self.index(known.name)
        parts = index.refresh(state)
        if fusion is Fusion.MEAN:
            parts = [self._all_means(known, parts)]
        return parts if people is None else [part.of(people) for part in parts]

    def _all_means(self, known: ModelRows, parts: Sequence[Rows]) -> Rows:
        """The mean of each person's templates; computed again once a template came or went."""
        of, means = self._means.get(known.name, (None, None))
        if means is None or of != known.rows:
            means = means_of(parts)
            self._means[known.name] = known.rows, means
        return means

    def fit_codes(self, model: str, *, bits: int, method: CodeMethod) -> CodeFit:
        """Fit binary templates to all of a model's, and measure what they save and cost."""
        self.renew(model)
        with self._database.reading() as state:
            if model not in state.models:
                raise GalleryError(
                    f"{self._database.folder}: holds no template of model {model}",
                    cure="enrol people first",
                )
            index = self.index(model)
            parts = index.refresh(state)
        fit_codes(
            self._database, parts[0].at(_alive(parts[0])), model=model, bits=bits, method=method
        )
        self._codes.pop(model, None)
        return measure_codes(self._code_index(model), index, parts)

    def _code_index(self, model: str) -> CodeIndex:
        if model not in self._codes:
            self._codes[model] = CodeIndex(self._database, model)
        return self._codes[model]

    def _people(self, names: Sequence[str]) -> NDArray[np.int32]:
        database = self._database
        found = (writing.identity_of(database.sql, database.protection, name) for name in names)
        return np.array(sorted({one for one in found if one is not None}), np.int32)

    def _rows_of(self, state: State, people: NDArray[np.int32], known: ModelRows) -> Rows:
        """The templates of a few people, straight from the database."""
        owned = [(one, t) for one in people.tolist() for t in self._of(state, one, known.name)]
        embeddings = [template.embedding for _, template in owned]
        return Rows(
            np.array(embeddings, np.float32).reshape(len(owned), known.width),
            np.array([owner for owner, _ in owned], np.int32),
            np.array([template.sequence for _, template in owned], np.int64),
        )

    def _of(self, state: State, identity: int, model: str) -> list[StoredTemplate]:
        found = reading.templates(self._database, state, reading.OF_PERSON, identity)
        return [template for template in found if template.model == model]

    def _confirmed(
        self,
        found: list[list[Found]],
        queries: NDArray[np.float32],
        state: State,
        model: str,
        fusion: Fusion,
    ) -> list[list[Candidate]] | None:
        """What was found, as the database has it; None where it has it otherwise."""
        seen: dict[int, tuple[str, NDArray[np.float32]] | None] = {}
        answer: list[list[Candidate]] = []
        for query, row in zip(queries, found, strict=True):
            answer.append([])
            for one in row:
                key = one.sequence if fusion is Fusion.MAX else one.identity
                if key not in seen:
                    seen[key] = self._stored(one, state, model, fusion)
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
        self, found: Found, state: State, model: str, fusion: Fusion
    ) -> tuple[str, NDArray[np.float32]] | None:
        """Name and embedding that a found row should have."""
        if fusion is Fusion.MEAN:
            templates = self._of(state, found.identity, model)
        else:
            templates = reading.templates(self._database, state, reading.NUMBERED, found.sequence)
        if not templates or templates[0].model != model:
            return None
        mean = fusion is Fusion.MEAN
        rows = [template.embedding for template in templates]
        return templates[0].name, mean_of(np.stack(rows)) if mean else rows[0]


def _alive(part: Rows) -> NDArray[np.bool_]:
    return np.ones(len(part), bool) if part.alive is None else part.alive
