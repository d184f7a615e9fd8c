"""HNSW index of a gallery on PostgreSQL: built on request, with its recall measured.

HNSW (Malkov and Yashunin, 2018) is an approximate index: it follows a graph and may miss templates.
Its recall is measured on the gallery itself, as it depends on the faces in it. A search uses the
index only if the URL says so (``?search=hnsw``).
"""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass

from psycopg import sql
from psycopg.types.json import Jsonb

from faceverify.errors import GalleryError
from faceverify.gallery.postgresql.search import set_effort
from faceverify.gallery.postgresql.session import Conn
from faceverify.gallery.postgresql.store import PostgresStore
from faceverify.gallery.postgresql.vectors import MOST_INDEXED, Vector, to_vectors

ITERATIVE = (0, 8)  # the first pgvector with iterative index scans
NEAREST = """
SELECT {distance} AS distance FROM templates WHERE model = {model} AND sequence <> %s
ORDER BY distance LIMIT %s
"""
ROUNDING = 1e-6  # between two distances of equal templates


@dataclass(frozen=True)
class IndexReport:
    """Measured cost and recall of an index.

    Attributes:
        model: id of the model whose templates are indexed.
        templates, dimension: number and dimension of the embeddings.
        seconds: build time.
        megabytes: size of the index.
        recall: share of the ``count`` nearest other templates that a search by index finds.
        count, samples: number of neighbours, and of templates used as queries.
        exact_ms, index_ms: median time of an exact search and of one by index, milliseconds.
        connections, construction, effort: pgvector's m, ef_construction and ef_search.
    """

    model: str
    templates: int
    dimension: int
    seconds: float
    megabytes: float
    recall: float
    count: int
    samples: int
    exact_ms: float
    index_ms: float
    connections: int
    construction: int
    effort: int


def build_index(
    store: PostgresStore,
    *,
    model: str,
    connections: int = 16,
    construction: int = 64,
    effort: int = 100,
    count: int = 5,
    samples: int = 200,
    memory: str = "512MB",
) -> IndexReport:
    """Rebuild a model's HNSW index and measure it; enrollment and search continue meanwhile.

    Args:
        store: the gallery.
        model: id of the model.
        connections, construction: pgvector's m and ef_construction; larger values give a higher
            recall and cost space and time.
        effort: pgvector's ef_search, up to 1000; later searches use the same.
        count: neighbours in the measurement of recall.
        samples: templates used as queries in that measurement.
        memory: the server's ``maintenance_work_mem`` while building.

    Raises:
        GalleryError: an unknown model, too many dimensions, or a pgvector that is too old.
    """
    number, dimension = store.session.read(lambda connection: _indexable(connection, model))
    name = f"templates_hnsw_{number}"
    started = time.perf_counter()
    store.session.outside(f"SET maintenance_work_mem = '{memory}'")
    store.session.outside(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    store.session.outside(
        f"CREATE INDEX CONCURRENTLY {name} ON templates"
        f" USING hnsw ((embedding::vector({dimension})) vector_cosine_ops)"
        f" WITH (m = {connections:d}, ef_construction = {construction:d}) WHERE model = {number}"
    )
    # otherwise ANALYZE keeps samples of the embeddings, which a removal does not erase
    store.session.outside(f"ALTER INDEX {name} ALTER COLUMN 1 SET STATISTICS 0")
    seconds = time.perf_counter() - started

    def measured(connection: Conn) -> IndexReport:
        set_effort(connection, effort)
        query = "SELECT pg_relation_size(%s::regclass), count(*) FROM templates WHERE model = %s"
        row = connection.execute(query, (name, number)).fetchone()
        assert row is not None
        recall, exact, indexed = _recall(connection, number, dimension, count, samples)
        return IndexReport(
            model,
            templates=row[1],
            dimension=dimension,
            seconds=round(seconds, 3),
            megabytes=round(row[0] / 1e6, 3),
            recall=recall,
            count=count,
            samples=samples,
            exact_ms=exact,
            index_ms=indexed,
            connections=connections,
            construction=construction,
            effort=effort,
        )

    report = store.session.read(measured)
    update = "UPDATE models SET indexed = %s WHERE id = %s"
    store.session.write(lambda found: found.execute(update, (Jsonb(asdict(report)), number)))
    return report


def _indexable(connection: Conn, model: str) -> tuple[int, int]:
    """Number and dimension of a model whose templates can be indexed."""
    query = "SELECT id, dimension FROM models WHERE name = %s"
    row = connection.execute(query, (model,)).fetchone()
    if row is None:
        raise GalleryError(f"nobody is enrolled with model {model}", code="gallery-model")
    if row[1] > MOST_INDEXED:
        raise GalleryError(
            f"embeddings of {row[1]} numbers: pgvector indexes up to {MOST_INDEXED}",
            cure="search exactly",
        )
    version = connection.execute(
        "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
    ).fetchone()
    assert version is not None
    if tuple(map(int, version[0].split(".")[:2])) < ITERATIVE:
        raise GalleryError(
            f"pgvector {version[0]}: its index may return too few",
            cure="update it to 0.8 or newer on the server, then: ALTER EXTENSION vector UPDATE",
        )
    return int(row[0]), int(row[1])


def _recall(
    connection: Conn, model: int, dimension: int, count: int, samples: int
) -> tuple[float, float, float]:
    """Recall, and median milliseconds of exact and of indexed searches.

    The queries are templates of the gallery; each is excluded from its own results.
    """
    sample = connection.cursor(binary=True).execute(
        "SELECT sequence, embedding FROM templates WHERE model = %s"
        " ORDER BY hashint8(sequence), sequence LIMIT %s",
        (model, samples),
    )
    fields = {"model": sql.Literal(model)}
    exact = sql.SQL(NEAREST).format(distance=sql.SQL("embedding <=> %s"), **fields)
    shape = sql.SQL("embedding::vector({}) <=> %s").format(dimension)
    indexed = sql.SQL(NEAREST).format(distance=shape, **fields)
    found = expected = 0
    times: tuple[list[float], list[float]] = ([], [])
    for sequence, embedding in sample.fetchall():
        (vector,) = to_vectors(embedding[None])
        truth, seconds = _timed(connection, exact, vector, sequence, count)
        times[0].append(seconds)
        near, seconds = _timed(connection, indexed, vector, sequence, count)
        times[1].append(seconds)
        expected += len(truth)
        found += sum(distance <= truth[-1] + ROUNDING for distance in near) if truth else 0
    recall = round(found / expected, 4) if expected else 1.0
    return recall, *(round(1000 * statistics.median(one or [0.0]), 3) for one in times)  # type: ignore[return-value]


def _timed(
    connection: Conn, statement: sql.Composed, query: Vector, itself: int, count: int
) -> tuple[list[float], float]:
    started = time.perf_counter()
    rows = connection.execute(statement, (query, itself, count)).fetchall()
    return [distance for (distance,) in rows], time.perf_counter() - started
