"""Searches of a gallery on PostgreSQL: the server compares, sorts and groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from faceverify.gallery.postgresql.session import Conn
from faceverify.gallery.postgresql.vectors import Vector
from faceverify.gallery.store import Candidate

PER_PERSON = 4  # templates fetched for each person wanted, to begin with
MOST_EFFORT = 1000  # of pgvector's hnsw.ef_search

# The distance on the bare column is not the expression of any index: every template is read.
EXACT = "embedding <=> %(query)s"
NEAREST = """
SELECT n.sequence, i.name, n.distance FROM (
  SELECT sequence, identity, {distance} AS distance FROM templates WHERE model = {model} {filter}
  ORDER BY {order} LIMIT %(limit)s) n
JOIN identities i ON i.id = n.identity ORDER BY n.distance, n.sequence
"""
# The length of a mean does not change its cosine distance; a mean of nothing has no direction: 1.
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
    """The people of the nearest templates.

    More and more templates are fetched, until enough different people are among them.

    Args:
        dimension: of the model, to follow its HNSW index; None to compare with every template.
    """
    distance: sql.Composable
    if dimension is None:
        distance, order = sql.SQL(EXACT), sql.SQL("distance, sequence")
    else:  # the planner takes the index for exactly its expression, condition and order
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
    """The people whose mean templates are nearest; always of all of them."""
    statement = sql.SQL(MEANS).format(filter=sql.SQL("" if names is None else OF_NAMES))
    values: dict[str, Any] = {"query": query, "model": model, "names": _list(names), "limit": count}
    rows = connection.execute(statement, values)
    return [Candidate(name, distance, None) for _, name, distance in rows]


def set_effort(connection: Conn, effort: int) -> None:
    """How far the following searches by index look: pgvector's ``hnsw.ef_search``.

    With a filter or a large count the index is asked for more, in order, until there is enough.
    """
    connection.execute(
        "SELECT set_config('hnsw.ef_search', %s, false),"
        " set_config('hnsw.iterative_scan', 'strict_order', false)",
        (str(min(effort, MOST_EFFORT)),),
    )


def _list(names: Sequence[str] | None) -> list[str] | None:
    return None if names is None else list(names)
