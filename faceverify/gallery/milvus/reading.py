"""Reading of a gallery on Milvus, in order: templates, people, damage."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import groupby

from faceverify.gallery.milvus.collections import Model, rows_in_order, rows_of
from faceverify.gallery.milvus.consistency import ConsistentClient
from faceverify.gallery.milvus.rows import damage, from_row
from faceverify.gallery.store import StoredTemplate


def templates_since(
    client: ConsistentClient, model: Model, sequence: int
) -> Iterator[StoredTemplate]:
    """A model's templates with a greater sequence number, in their order."""
    for row in rows_in_order(client, model, "sequence", above=sequence):
        yield from_row(row, model.name)


def templates_where(
    client: ConsistentClient, models: Iterable[Model], condition: str
) -> list[StoredTemplate]:
    """Templates that match a filter, in the order of their numbers."""
    found = [
        from_row(row, model.name) for model in models for row in rows_of(client, model, condition)
    ]
    return sorted(found, key=lambda one: one.sequence)


def people(client: ConsistentClient, models: Iterable[Model]) -> Iterator[tuple[str, int]]:
    """Every name with its number of templates, ordered by the names' hashes."""
    streams = [rows_in_order(client, model, "key", fields=["person", "name"]) for model in models]
    rows = heapq.merge(*streams, key=lambda row: row["person"])  # a key begins with its person
    for _, group in groupby(rows, key=lambda row: row["person"]):
        names = [row["name"] for row in group]
        yield names[0], len(names)


def count(client: ConsistentClient, model: Model) -> int:
    """Number of templates of a model."""
    rows = client.query(model.collection, filter="", output_fields=["count(*)"])
    return int(rows[0]["count(*)"])


def damages(client: ConsistentClient, model: Model) -> Iterator[str]:
    """Faults of a model's templates, one line each."""
    last = ""
    for row in rows_in_order(client, model, "key"):
        if row["key"] == last:
            yield f"template {row['sequence']} of {row['name']!r}: is there twice"
        last = row["key"]
        problem = damage(row, model.dimension)
        if problem is not None:
            yield problem
