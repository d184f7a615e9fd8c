"""How templates get into a gallery on PostgreSQL, and out of it: the parts of one transaction.

Templates are sent by COPY into a temporary table and merged from there. Whoever merges, renames or
removes holds the counter row until it has committed: so there is one writer at a time, doubles are
seen, nobody waits in a circle, and sequence numbers become visible in their order.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import GalleryError
from faceverify.gallery.postgresql.session import Conn
from faceverify.gallery.postgresql.vectors import to_vectors
from faceverify.gallery.store import Added, Enrolment, StoredTemplate
from faceverify.gallery.validation import check_enrolments, check_name

Row = tuple[Any, ...]

STAGED = """
CREATE TEMPORARY TABLE IF NOT EXISTS staged (
  ordinal integer, name text COLLATE "C", quality double precision, time double precision,
  checksum bigint, photo_hash bytea, photo bytea, embedding vector) ON COMMIT DELETE ROWS
"""
COPY = "COPY pg_temp.staged FROM STDIN (FORMAT binary)"
COPIED = ("int4", "text", "float8", "float8", "int8", "bytea", "bytea", "vector")
NEW_NAMES = """
INSERT INTO identities (name) SELECT DISTINCT name FROM pg_temp.staged ON CONFLICT DO NOTHING
"""
# Subqueries, not joins: looked up row by row by index, however little is known of the tables.
NEW_TEMPLATES = """
INSERT INTO templates
  (sequence, identity, model, quality, time, checksum, photo_hash, photo, embedding)
SELECT %(last)s + 1 + ordinal, (SELECT id FROM identities i WHERE i.name = s.name), %(model)s,
  quality, time, checksum, photo_hash, photo, embedding
FROM pg_temp.staged s ORDER BY ordinal ON CONFLICT (identity, model, photo_hash) DO NOTHING
"""
NUMBERS = """
SELECT (SELECT t.sequence FROM templates t WHERE t.model = %s AND t.photo_hash = s.photo_hash
  AND t.identity = (SELECT id FROM identities i WHERE i.name = s.name))
FROM pg_temp.staged s ORDER BY ordinal
"""
NOBODY_LEFT = """
DELETE FROM identities i WHERE NOT EXISTS (SELECT FROM templates t WHERE t.identity = i.id)
"""


def staged_rows(enrolments: Sequence[Enrolment], model: str) -> tuple[list[Row], int]:
    """Rows for COPY, and the dimension of their embeddings.

    Raises:
        GalleryError: something that is no embedding, or no name.
    """
    dimension = check_enrolments(enrolments, width=None, model=model)
    embeddings = np.stack([one.embedding for one in enrolments]).astype(np.float32, copy=False)
    now = time.time()
    rows = []
    for ordinal, (one, vector) in enumerate(zip(enrolments, to_vectors(embeddings), strict=True)):
        moment = one.time if isinstance(one, StoredTemplate) else now
        photo = one.photo.encode("utf-8", "surrogateescape")
        check = checksum(embeddings[ordinal], photo, one.photo_hash, one.quality, moment)
        rows.append((ordinal, one.name, one.quality, moment, check, one.photo_hash, photo, vector))
    return rows, dimension


def checksum(
    embedding: NDArray[np.float32], photo: bytes, photo_hash: bytes, quality: float, moment: float
) -> int:
    """CRC-32 of all that is stored of a template, but its name, which may change."""
    start = zlib.crc32(struct.pack("<dd", quality, moment) + photo_hash + photo)
    return zlib.crc32(embedding.astype("<f4", copy=False).tobytes(), start)


def stage(connection: Conn, rows: list[Row]) -> None:
    """Send rows to the temporary table, which is empty when the transaction begins and ends."""
    connection.execute(STAGED)
    with connection.cursor().copy(COPY) as copy:
        copy.set_types(COPIED)
        for row in rows:
            copy.write_row(row)


def hold_counter(connection: Conn) -> int:
    """Become the one writer until the transaction ends; returns the last sequence number."""
    row = connection.execute("SELECT last_sequence FROM gallery FOR UPDATE").fetchone()
    assert row is not None
    return int(row[0])


def unstage(connection: Conn, places: Sequence[int]) -> None:
    """Leave only the rows of these places in the temporary table."""
    query = "DELETE FROM pg_temp.staged WHERE ordinal <> ALL(%s)"
    connection.execute(query, (list(places),))


def merge(
    connection: Conn, last: int, places: Sequence[int], *, model: str, dimension: int
) -> list[Added]:
    """Store what is new of the staged rows, which have these places; what became of each."""
    if not places:
        return []
    number = _model_number(connection, model, dimension)
    connection.execute(NEW_NAMES)
    stored = connection.execute(NEW_TEMPLATES, {"model": number, "last": last}).rowcount
    given = [last + 1 + place for place in places]
    connection.execute("UPDATE gallery SET last_sequence = %s", (given[-1],))
    if stored == len(given):
        return [Added(sequence, new=True) for sequence in given]
    found = [sequence for (sequence,) in connection.execute(NUMBERS, (number,))]
    return [Added(one, new=one == own) for one, own in zip(found, given, strict=True)]


def _model_number(connection: Conn, model: str, dimension: int) -> int:
    """The model's number here, where it is of this dimension."""
    query = "SELECT id, dimension FROM models WHERE name = %s"
    row = connection.execute(query, (model,)).fetchone()
    if row is None:
        insert = "INSERT INTO models (name, dimension) VALUES (%s, %s) RETURNING id, dimension"
        row = connection.execute(insert, (model, dimension)).fetchone()
    assert row is not None
    check_dimension(model, stored=row[1], found=dimension)
    return int(row[0])


def check_dimension(model: str, *, stored: int, found: int) -> None:
    """Refuse embeddings that cannot be this model's.

    Raises:
        GalleryError: they are of another length (code ``gallery-model``).
    """
    if stored != found:
        raise GalleryError(
            f"an embedding of {found} numbers, where those of model {model} have {stored}",
            code="gallery-model",
        )


def rename(connection: Conn, old: str, new: str) -> int:
    """Give a person another name; returns how many templates the person has.

    Raises:
        GalleryError: somebody has that name.
    """
    check_name(new)
    hold_counter(connection)
    query = "SELECT id, (SELECT count(*) FROM templates WHERE identity = i.id) FROM identities i"
    row = connection.execute(query + " WHERE name = %s", (old,)).fetchone()
    if row is None:
        return 0
    if connection.execute("SELECT FROM identities WHERE name = %s", (new,)).fetchone() is not None:
        raise GalleryError(f"somebody is enrolled as {new!r} already", cure="choose another name")
    connection.execute("UPDATE identities SET name = %s WHERE id = %s", (new, row[0]))
    return int(row[1])


def delete(connection: Conn, name: str, sequences: list[int] | None) -> int:
    """Delete a person's templates, all or these, and who has none left; returns how many."""
    hold_counter(connection)
    gone = connection.execute(
        "DELETE FROM templates t USING identities i WHERE i.id = t.identity AND i.name = %s"
        " AND (%s::bigint[] IS NULL OR t.sequence = ANY(%s::bigint[]))",
        (name, sequences, sequences),
    ).rowcount
    connection.execute(NOBODY_LEFT + " AND name = %s", (name,))
    return gone


def delete_model(connection: Conn, model: str) -> int:
    """Delete all templates of a model; returns how many. Whoever has none left stays for now."""
    query = "DELETE FROM templates WHERE model = (SELECT id FROM models WHERE name = %s)"
    return connection.execute(query, (model,)).rowcount


def delete_nobodies(connection: Conn) -> None:
    """Delete identities without templates."""
    connection.execute(NOBODY_LEFT)
