"""Search of a gallery on PostgreSQL: the server computes, sorts and groups distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from faceverify.gallery.postgresql.session import Conn
from faceverify.gallery.postgresql.vectors import Vector
from faceverify.gallery.store import Candidate

PER_PERSON = 4  # templates fetched first for each person requested
MOST_EFFORT = 1000  # upper limit of pgvector's hnsw.ef_search

# No index is on the bare column: every template is read.
EXACT = "embedding <=> %(query)s"
NEAREST = """
SELECT n.sequence, i.name, n.distance FROM (
  SELECT sequence, identity, {distance} AS distance FROM templates WHERE model = {model} {filter}
  ORDER BY {order} LIMIT %(limit)s) n
JOIN identities i ON i.id = n.identity ORDER BY n.distance, n.sequence
"""
# The length of a mean does not change its cosine distance; a zero mean has the distance 1.
MEANS = """
SELECT NULL, i.name, n.distance FROM (
  SELECT identity, coalesce(nullif(avg(embedding) <=> %(query)s, 'NaN'), 1) AS distance
  FROM templates WHERE model = %(model)s {filter} GROUP BY identity
  ORDER BY distance, identity LIMIT %(limit)s) n
JOIN identities i ON i.id = n.identity ORDER BY n.distance, n.identity
"""
OF_NAMES = "AND identity IN (SELECT id FROM identities WHERE name = ANY(%(names)s))"


def nearest_templates(
    connection: Conn,
    query: Vector,
    count: int,
    *,
    model: int,
    names: Sequence[str] | None,
    dimension: int | None = None,
) -> list[Candidate]:
    """The nearest people by their nearest templates.

    The number of templates fetched is increased until they belong to ``count`` people.

    Args:
        query: unit length.
        count: maximum number of people.
        model: number of the model in this gallery.
        names: the people to search among; None for all.
        dimension: dimension of the model, to use its HNSW index; None for exact search.
    """
    distance: sql.Composable
    if dimension is None:
        distance, order = sql.SQL(EXACT), sql.SQL("distance, sequence")
    else:  # the planner uses the index for exactly its expression, condition and order
        distance = sql.SQL("embedding::vector({}) <=> %(query)s").format(dimension)
        order = sql.SQL("distance")
    statement = sql.SQL(NEAREST).format(
        distance=distance,
        model=sql.Literal(model),
        filter=sql.SQL("" if names is None else OF_NAMES),
        order=order,
    )
    limit = count * PER_PERSON
    while True:
        values = {"query": query, "names": _list(names), "limit": limit}
        rows = connection.execute(statement, values).fetchall()
        found: dict[str, Candidate] = {}
        for sequence, name, away in rows:
            found.setdefault(name, Candidate(name, away, sequence))
        if len(found) >= count or len(rows) < limit:
            return list(found.values())[:count]
        limit *= 4


def nearest_means(
    connection: Conn, query: Vector, count: int, *, model: int, names: Sequence[str] | None
) -> list[Candidate]:
    """The nearest people by their mean templates; always exact."""
    statement = sql.SQL(MEANS).format(filter=sql.SQL("" if names is None else OF_NAMES))
    values: dict[str, Any] = {"query": query, "model": model, "names": _list(names), "limit": count}
    rows = connection.execute(statement, values)
    return [Candidate(name, distance, None) for _, name, distance in rows]


def set_effort(connection: Conn, effort: int) -> None:
    """Set pgvector's ``hnsw.ef_search`` for the following searches by index.

    With a filter or a large count, an iterative scan continues in order until there is enough.
    """
    connection.execute(
        "SELECT set_config('hnsw.ef_search', %s, false),"
        " set_config('hnsw.iterative_scan', 'strict_order', false)",
        (str(min(effort, MOST_EFFORT)),),
    )


def _list(names: Sequence[str] | None) -> list[str] | None:
    return None if names is None else list(names)
