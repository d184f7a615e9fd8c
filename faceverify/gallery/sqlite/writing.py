"""Insertion, removal and renaming in an embedded gallery.

Each function runs inside the caller's write transaction and returns the gallery's new manifest.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from faceverify.errors import GalleryError
from faceverify.gallery.sqlite import records
from faceverify.gallery.sqlite.manifest import Manifest, ModelRows, RowSet
from faceverify.gallery.sqlite.protection import Protection
from faceverify.gallery.store import Added, Enrollment, StoredTemplate
from faceverify.gallery.validation import check_enrollments
from faceverify.runtime.text import is_line

SLICE = 500  # photos in one query

Row = tuple[int, int, int, bytes]  # sequence, identity, model, record


def insert(
    sql: sqlite3.Connection,
    protection: Protection,
    manifest: Manifest,
    enrollments: Sequence[Enrollment],
    *,
    model: str,
) -> tuple[Manifest, list[Added]]:
    """Store templates; an existing one of the same person, photo and model is only looked up."""
    if not enrollments:
        return manifest, []
    known = manifest.models.get(model)
    width = check_enrollments(enrollments, width=known.width if known else None, model=model)
    known = known or ModelRows(manifest.next_model, model, width, RowSet())
    manifest, people = _identities(
        sql, protection, manifest, {one.name: None for one in enrollments}
    )
    now = time.time()
    sequence = last(sql, "templates")
    added: list[Added] = []
    written: list[tuple[int, int, int, bytes, bytes]] = []
    tags = []
    keys = [records.photo_key(protection, enrollment.photo_hash) for enrollment in enrollments]
    stored = _stored(sql, known.key, keys)
    for enrollment, key in zip(enrollments, keys, strict=True):
        identity = people[enrollment.name]
        duplicate = stored.get((key, identity))
        if duplicate is not None:
            added.append(Added(duplicate, new=False))
            continue
        sequence += 1
        place = records.template_place(sequence, identity, known.key)
        moment = enrollment.time if isinstance(enrollment, StoredTemplate) else now  # a copied one
        record = protection.seal(records.pack(enrollment, moment), place)
        tags.append(records.tag(protection, place, record))
        written.append((sequence, identity, known.key, key, record))
        stored[key, identity] = sequence
        added.append(Added(sequence, new=True))
    sql.executemany("INSERT INTO templates VALUES (?, ?, ?, ?, ?)", written)
    templates = known.rows.changed(len(written), records.total(tags))
    return manifest.with_model(replace(known, rows=templates)), added


def delete(
    sql: sqlite3.Connection, protection: Protection, manifest: Manifest, doomed: Iterable[Row]
) -> Manifest:
    """Remove templates; people without any left are for :func:`delete_empty_identities`."""
    manifest = replace(manifest, epoch=manifest.epoch + 1)
    tombstones: list[tuple[int, int, int, bytes]] = []
    for sequence, identity, model, record in doomed:
        _, tag = records.open_template(protection, sequence, identity, model, record)
        tombstones.append((sequence, model, manifest.epoch, tag.to_bytes(32, "little")))
        known = manifest.model_of(model)
        manifest = manifest.with_model(replace(known, rows=known.rows.changed(-1, -tag)))
    sql.executemany(
        "DELETE FROM templates WHERE sequence = ?", [(stone[0],) for stone in tombstones]
    )
    sql.executemany("INSERT INTO tombstones VALUES (?, ?, ?, ?)", tombstones)
    return manifest


def drop_model(
    sql: sqlite3.Connection, manifest: Manifest, model: str
) -> tuple[Manifest, list[int]]:
    """Remove all templates of a model.

    Returns:
        The new manifest, and the people, for :func:`delete_empty_identities`.
    """
    known = manifest.models.get(model)
    if known is None:
        return manifest, []
    query = "SELECT DISTINCT identity FROM templates WHERE model = ?"
    people = [identity for (identity,) in sql.execute(query, (known.key,))]
    sql.execute("DELETE FROM templates WHERE model = ?", (known.key,))
    # no tombstones: files derived from a removed model are not read again
    sql.execute("DELETE FROM tombstones WHERE model = ?", (known.key,))
    manifest = replace(manifest, epoch=manifest.epoch + 1)
    return manifest.with_model(replace(known, rows=RowSet())), people


def rename(
    sql: sqlite3.Connection, protection: Protection, manifest: Manifest, identity: int, new: str
) -> Manifest:
    """Give a person another name, which must be unused."""
    place = records.identity_place(identity)
    (old,) = sql.execute("SELECT name FROM identities WHERE id = ?", (identity,)).fetchone()
    sealed = protection.seal(new.encode(), place)
    _, before = records.open_name(protection, identity, old)
    by = records.tag(protection, place, sealed) - before
    key = records.name_key(protection, new)
    sql.execute(
        "UPDATE identities SET name_key = ?, name = ? WHERE id = ?", (key, sealed, identity)
    )
    return replace(manifest, identities=manifest.identities.changed(0, by))


def identity_of(sql: sqlite3.Connection, protection: Protection, name: str) -> int | None:
    """Number of a person; None for an unknown name.

    Raises:
        GalleryError: another person's name is stored there.
    """
    if not is_line(name):
        return None
    key = records.name_key(protection, name)
    found = sql.execute("SELECT id, name FROM identities WHERE name_key = ?", (key,)).fetchone()
    if found is None:
        return None
    if records.open_name(protection, *found)[0] != name:
        raise GalleryError(
            f"identities/{found[0]}: is filed under another name", code="gallery-damaged"
        )
    return int(found[0])


def templates_of(sql: sqlite3.Connection, identity: int, *, model: int | None = None) -> list[Row]:
    """Rows of a person, in their order; of one model or all."""
    query = "SELECT sequence, identity, model, record FROM templates WHERE identity = ?"
    if model is None:
        return sql.execute(f"{query} ORDER BY sequence", (identity,)).fetchall()
    return sql.execute(f"{query} AND model = ? ORDER BY sequence", (identity, model)).fetchall()


def _stored(
    sql: sqlite3.Connection, model: int, keys: Sequence[bytes]
) -> dict[tuple[bytes, int], int]:
    """Existing templates of photos: (photo key, identity) -> sequence number."""
    found: dict[tuple[bytes, int], int] = {}
    for start in range(0, len(keys), SLICE):
        some = keys[start : start + SLICE]
        marks = ",".join("?" * len(some))
        query = "SELECT photo_key, identity, sequence FROM templates "
        query += f"WHERE photo_key IN ({marks}) AND model = ?"
        found.update(
            ((key, who), number) for key, who, number in sql.execute(query, (*some, model))
        )
    return found


def _identities(
    sql: sqlite3.Connection, protection: Protection, manifest: Manifest, names: Iterable[str]
) -> tuple[Manifest, dict[str, int]]:
    """Number of each person, known or new."""
    people: dict[str, int] = {}
    written, tags = [], []
    number = last(sql, "identities")
    for name in names:
        known = identity_of(sql, protection, name)
        if known is None:
            known = number = number + 1
            place = records.identity_place(known)
            sealed = protection.seal(name.encode(), place)
            written.append((known, records.name_key(protection, name), sealed))
            tags.append(records.tag(protection, place, sealed))
        people[name] = known
    sql.executemany("INSERT INTO identities VALUES (?, ?, ?)", written)
    identities = manifest.identities.changed(len(written), records.total(tags))
    return replace(manifest, identities=identities), people


def delete_empty_identities(
    sql: sqlite3.Connection, protection: Protection, manifest: Manifest, people: Iterable[int]
) -> Manifest:
    """Remove the people without a template, among those given."""
    for identity in people:
        if sql.execute("SELECT 1 FROM templates WHERE identity = ?", (identity,)).fetchone():
            continue
        (name,) = sql.execute("SELECT name FROM identities WHERE id = ?", (identity,)).fetchone()
        _, tag = records.open_name(protection, identity, name)
        manifest = replace(manifest, identities=manifest.identities.changed(-1, -tag))
        sql.execute("DELETE FROM identities WHERE id = ?", (identity,))
    return manifest


def last(sql: sqlite3.Connection, table: str) -> int:
    """Greatest number ever given to a row of the table."""
    found = sql.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return int(found[0]) if found else 0
