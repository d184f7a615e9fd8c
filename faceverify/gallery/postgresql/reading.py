"""What a gallery on PostgreSQL holds: its rows, its figures, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from faceverify.gallery.postgresql.address import Address
from faceverify.gallery.postgresql.session import Conn
from faceverify.gallery.postgresql.writing import checksum
from faceverify.gallery.store import Stats, StoredTemplate

ROWS = """
SELECT t.sequence, i.name, m.name, t.quality, t.time, t.photo_hash, t.photo, t.embedding, t.checksum
FROM templates t JOIN identities i ON i.id = t.identity JOIN models m ON m.id = t.model
WHERE (%(model)s::text IS NULL OR m.name = %(model)s)
"""
NAMES = """
SELECT name, (SELECT count(*) FROM templates t WHERE t.identity = i.id) FROM identities i
WHERE name > %s ORDER BY name LIMIT %s
"""
COUNT = """
SELECT name, n FROM models
JOIN (SELECT model, count(*) AS n FROM templates GROUP BY model) t ON t.model = id ORDER BY name
"""
INDEXES = "SELECT name, indexed FROM models WHERE indexed IS NOT NULL ORDER BY name"
FACTS = """
SELECT (SELECT count(*) FROM identities), version AS schema_version, last_sequence,
  current_setting('server_version') AS server,
  (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS pgvector,
  current_setting('fsync') AS fsync, current_setting('data_checksums') AS data_checksums,
  pg_total_relation_size('templates') + pg_total_relation_size('identities') AS bytes
FROM gallery
"""
DISAGREEMENTS = {
    "the sequence counter is behind the templates": """
        SELECT FROM templates HAVING max(sequence) > (SELECT last_sequence FROM gallery)""",
    "there are people without templates": """
        SELECT FROM identities i
        WHERE NOT EXISTS (SELECT FROM templates t WHERE t.identity = i.id) LIMIT 1""",
    "there are templates of nobody, or of no model": """
        SELECT FROM templates t WHERE NOT EXISTS (SELECT FROM identities i WHERE i.id = t.identity)
        OR NOT EXISTS (SELECT FROM models m WHERE m.id = t.model) LIMIT 1""",
    "there are embeddings of another length than their model's": """
        SELECT FROM templates t JOIN models m ON m.id = t.model
        WHERE vector_dims(embedding) <> dimension LIMIT 1""",
    "the server runs with fsync = off: a power cut may lose what it acknowledged": """
        SELECT WHERE current_setting('fsync') = 'off'""",
}


@dataclass(frozen=True, eq=False)
class Row:
    """A row of the table.

    Attributes:
        template: what it says.
        checksum: what was computed of it when it was stored.
    """

    template: StoredTemplate
    checksum: int


def rows(connection: Conn, condition: str, **values: object) -> list[Row]:
    """The rows of a condition, which may name ``t``, ``i`` and ``m``; ``model`` must be given."""
    cursor = connection.cursor(binary=True).execute(ROWS + condition, values)
    return [
        Row(
            StoredTemplate(
                name=name,
                embedding=embedding,
                photo=photo.decode("utf-8", "surrogateescape"),
                photo_hash=photo_hash,
                quality=quality,
                sequence=sequence,
                model=model,
                time=moment,
            ),
            stored,
        )
        for sequence, name, model, quality, moment, photo_hash, photo, embedding, stored in cursor
    ]


def names(connection: Conn, *, after: str, count: int) -> list[tuple[str, int]]:
    """The next people after a name, each with the number of templates."""
    return [(name, found) for name, found in connection.execute(NAMES, (after, count))]


def newest(connection: Conn) -> int:
    """The last sequence number of a transaction that was committed."""
    row = connection.execute("SELECT last_sequence FROM gallery").fetchone()
    assert row is not None
    return int(row[0])


def damage(row: Row) -> str | None:
    """What is wrong with a row, in one line."""
    one = row.template
    photo = one.photo.encode("utf-8", "surrogateescape")
    if checksum(one.embedding, photo, one.photo_hash, one.quality, one.time) == row.checksum:
        return None
    return f"template {one.sequence} of {one.name!r}: wrong checksum"


def disagreements(connection: Conn) -> list[str]:
    """What is wrong with the tables as a whole, or with the server's promises."""
    return [
        text
        for text, query in DISAGREEMENTS.items()
        if connection.execute(query).fetchone() is not None
    ]


def count(connection: Conn) -> dict[str, int]:
    """How many templates each model has, by its id."""
    return dict(connection.execute(COUNT))


def stats(connection: Conn, address: Address) -> Stats:
    """What the gallery holds."""
    counts = count(connection)
    facts = connection.execute(FACTS)
    columns = [column.name for column in facts.description or ()]
    row = facts.fetchone()
    assert row is not None
    details = dict(zip(columns[1:], row[1:], strict=True))
    details["search"] = address.search.value
    details["indexes"] = dict(connection.execute(INDEXES).fetchall())
    return Stats("postgresql", address.shown, row[0], sum(counts.values()), counts, details)
