"""Search by binary templates: bits find a shortlist, embeddings decide about it.

The codes of a search file's rows lie in a file beside it. Counting bits reads a fraction of what
the embeddings take; whom the bits leave off the shortlist is not found, which is measured when
codes are fitted. Every distance is one of embeddings, as in any other search.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from faceverify.choices import CodeMethod
from faceverify.errors import GalleryError
from faceverify.gallery.sqlite.binary_scan import nearest_codes
from faceverify.gallery.sqlite.column_file import Array, Column, write_columns
from faceverify.gallery.sqlite.database import Database
from faceverify.gallery.sqlite.index import TemplateIndex
from faceverify.gallery.sqlite.nearest import Found, Rows, nearest
from faceverify.gallery.sqlite.search_files import (
    CODES,
    DIRECTIONS,
    about_of,
    publishing,
    read_search_file,
    search_file,
    write_derived,
)
from faceverify.matching.binary_templates import (
    CodeDirections,
    centred_directions,
    itq_directions,
    random_directions,
)

SHORTLIST = 200  # rows measured in full, at least
PEOPLE = 40  # and so many for each person asked for, who may have several templates
PIECE = 8192  # rows encoded at once
PROBES, NEAREST = 100, 5  # searches that a fit is measured by, and how many people each asks for


@dataclass(frozen=True)
class CodeFit:
    """What codes save, and what they cost.

    Attributes:
        bits: of a code.
        bytes: a code takes.
        embedding_bytes: what an embedding takes.
        exact_ms, codes_ms: a search, in the median.
        recall: share of the nearest people that a search by codes finds, too.
        searches: how many that was measured by, of the gallery's own templates, each blurred.
    """

    bits: int
    bytes: int
    embedding_bytes: int
    exact_ms: float
    codes_ms: float
    recall: float
    searches: int


class CodeIndex:
    """The codes of all rows in a :class:`TemplateIndex`.

    Args:
        database: the gallery.
        model: id of the model.

    Raises:
        GalleryError: no codes were fitted for the model.
    """

    def __init__(self, database: Database, model: str) -> None:
        self._database = database
        self._model = model
        found = read_search_file(database, model, DIRECTIONS)
        if found is None:
            raise GalleryError(
                f"{database.folder}: has no binary templates",
                cure="faceverify gallery fit-codes makes them",
                code="gallery-no-codes",
            )
        rows = found[1]["row"]
        self.directions = CodeDirections(rows[:-1], rows[-1])
        self._name = sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()
        self._publication = ""
        self._codes = np.zeros((0, self.directions.bits // 8), np.uint8)

    def nearest(
        self, templates: TemplateIndex, queries: NDArray[np.float32], count: int
    ) -> list[list[Found]]:
        """The nearest people of each query among those on its shortlist, and all of the newest."""
        base = templates.base
        others = [] if templates.tail is None else [templates.tail]
        if base is None:
            return nearest(others, queries, count)
        if self._publication != templates.publication:
            self._codes = self._codes_of_file(base, templates.publication)
            self._publication = templates.publication
        listed = max(SHORTLIST, PEOPLE * count)
        places, _ = nearest_codes(self.directions.encode(queries), self._codes, listed)
        found: list[list[Found]] = []
        for query, chosen in zip(queries, places, strict=True):
            chosen = np.sort(chosen)
            if base.alive is not None:
                chosen = chosen[base.alive[chosen]]
            found += nearest([base.at(chosen), *others], query[None], count)
        return found

    def _codes_of_file(self, rows: Rows, publication: str) -> NDArray[np.uint8]:
        """From the file beside the search file; written, where it is not there."""
        database, model = self._database, self._model
        for attempt in range(2):
            found = read_search_file(database, model, CODES, publication=publication)
            if found is not None and found[0].get("directions") == self._name:
                codes: NDArray[np.uint8] = found[1]["code"]
                return codes
            if not attempt:
                self._write(rows, publication)
        return np.concatenate(list(self._encoded(rows)))

    def _encoded(self, rows: Rows) -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(rows), PIECE):
            yield self.directions.encode(rows.embeddings[start : start + PIECE])

    def _write(self, rows: Rows, publication: str) -> None:
        write_derived(
            self._database,
            self._model,
            CODES,
            [Column("code", "|u1", self.directions.bits // 8)],
            len(rows),
            ([codes] for codes in self._encoded(rows)),
            publication=publication,
            directions=self._name,
        )


def fit_codes(
    database: Database, rows: Rows, *, model: str, bits: int, method: CodeMethod
) -> CodeDirections:
    """Fit directions to a gallery's templates, and keep them beside its search files.

    Raises:
        UsageError: an impossible number of bits, or too few templates.
        GalleryError: another process writes search files all the while.
        OutputError: they cannot be written.
    """
    if method is CodeMethod.RANDOM:
        fitted = random_directions(rows.embeddings.shape[1], bits)
    elif method is CodeMethod.ITQ:
        fitted = itq_directions(rows.embeddings, bits)
    else:
        fitted = centred_directions(rows.embeddings, bits)
    table: Array = np.concatenate([fitted.directions, fitted.offsets[None]])  # (D + 1, B)
    with publishing(database, seconds=database.busy) as taken:
        if not taken:
            raise GalleryError(
                f"{database.folder}: its search files are being written",
                cure="try again",
                code="gallery-locked",
            )
        write_columns(
            search_file(database, model, DIRECTIONS),
            about_of(database, model, DIRECTIONS),
            [Column("row", "<f4", bits)],
            len(table),
            [[table]],
            database.protection,
        )
    return fitted


def measure_codes(codes: CodeIndex, templates: TemplateIndex, parts: list[Rows]) -> CodeFit:
    """Search for some templates by codes and exactly, each a little off, as another photo is."""
    generator = np.random.default_rng(0)
    rows = parts[0]
    width = rows.embeddings.shape[1]
    chosen = generator.choice(len(rows), min(PROBES, len(rows)), replace=False)
    queries = rows.embeddings[chosen] + generator.normal(0, 0.3 / width**0.5, (len(chosen), width))
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    found, expected = 0, 0
    exact_times, code_times = [], []
    for query in queries.astype(np.float32):
        began = time.perf_counter()
        (exact,) = nearest(parts, query[None], NEAREST)
        middle = time.perf_counter()
        (quick,) = codes.nearest(templates, query[None], NEAREST)
        code_times.append(time.perf_counter() - middle)
        exact_times.append(middle - began)
        people = {one.identity for one in exact}
        expected += len(people)
        found += len(people & {one.identity for one in quick})
    return CodeFit(
        bits=codes.directions.bits,
        bytes=codes.directions.bits // 8,
        embedding_bytes=4 * width,
        exact_ms=round(1e3 * float(np.median(exact_times)), 3),
        codes_ms=round(1e3 * float(np.median(code_times)), 3),
        recall=round(found / max(expected, 1), 4),
        searches=len(queries),
    )
