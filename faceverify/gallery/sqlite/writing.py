"""What an enrolment, a removal and a new name do to the rows of an embedded gallery.

Each function works inside the caller's write transaction and returns the gallery's new state.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from faceverify.errors import GalleryError
from faceverify.gallery.sqlite import records
from faceverify.gallery.sqlite.manifest import ModelRows, RowSet, State
from faceverify.gallery.sqlite.protection import Protection
from faceverify.gallery.store import Added, Enrolment, StoredTemplate
from faceverify.gallery.validation import check_enrolments
from faceverify.runtime.text import is_line

SLICE = 500  # photos in one question to the database

Row = tuple[int, int, int, bytes]  # sequence, identity, model, record


def insert(
    sql: sqlite3.Connection,
    protection: Protection,
    state: State,
    enrolments: Sequence[Enrolment],
    *,
    model: str,
) -> tuple[State, list[Added]]:
    """Store templates; one that a person has already is only looked up."""
    if not enrolments:
        return state, []
    known = state.models.get(model)
    width = check_enrolments(enrolments, width=known.width if known else None, model=model)
    known = known or ModelRows(state.next_model, model, width, RowSet())
    state, people = _identities(sql, protection, state, {one.name: None for one in enrolments})
    now = time.time()
    sequence = last(sql, "templates")
    added: list[Added] = []
    written: list[tuple[int, int, int, bytes, bytes]] = []
    tags = []
    keys = [records.photo_key(protection, enrolment.photo_hash) for enrolment in enrolments]
    stored = _stored(sql, known.key, keys)
    for enrolment, key in zip(enrolments, keys, strict=True):
        identity = people[enrolment.name]
        double = stored.get((key, identity))
        if double is not None:
            added.append(Added(double, new=False))
            continue
        sequence += 1
        place = records.template_place(sequence, identity, known.key)
        moment = enrolment.time if isinstance(enrolment, StoredTemplate) else now  # a copied one
        record = protection.seal(records.pack(enrolment, moment), place)
        tags.append(records.tag(protection, place, record))
        written.append((sequence, identity, known.key, key, record))
        stored[key, identity] = sequence
        added.append(Added(sequence, new=True))
    sql.executemany("INSERT INTO templates VALUES (?, ?, ?, ?, ?)", written)
    templates = known.rows.changed(len(written), records.total(tags))
    return state.with_model(replace(known, rows=templates)), added


def delete(
    sql: sqlite3.Connection, protection: Protection, state: State, doomed: Iterable[Row]
) -> State:
    """Remove templates; people who have none left are for :func:`forget_people`."""
    state = replace(state, epoch=state.epoch + 1)
    tombstones: list[tuple[int, int, int, bytes]] = []
    for sequence, identity, model, record in doomed:
        _, tag = records.open_template(protection, sequence, identity, model, record)
        tombstones.append((sequence, model, state.epoch, tag.to_bytes(32, "little")))
        known = state.model_of(model)
        state = state.with_model(replace(known, rows=known.rows.changed(-1, -tag)))
    sql.executemany(
        "DELETE FROM templates WHERE sequence = ?", [(stone[0],) for stone in tombstones]
    )
    sql.executemany("INSERT INTO tombstones VALUES (?, ?, ?, ?)", tombstones)
    return state


def drop_model(sql: sqlite3.Connection, state: State, model: str) -> tuple[State, list[int]]:
    """Remove all templates of a model; returns their people, too, for :func:`forget_people`."""
    known = state.models.get(model)
    if known is None:
        return state, []
    query = "SELECT DISTINCT identity FROM templates WHERE model = ?"
    people = [identity for (identity,) in sql.execute(query, (known.key,))]
    sql.execute("DELETE FROM templates WHERE model = ?", (known.key,))
    # no tombstones: what was derived from a model that is gone is never looked at again
    sql.execute("DELETE FROM tombstones WHERE model = ?", (known.key,))
    state = replace(state, epoch=state.epoch + 1)
    return state.with_model(replace(known, rows=RowSet())), people


def rename(
    sql: sqlite3.Connection, protection: Protection, state: State, identity: int, new: str
) -> State:
    """Give a person another name, which nobody has."""
    place = records.identity_place(identity)
    (old,) = sql.execute("SELECT name FROM identities WHERE id = ?", (identity,)).fetchone()
    sealed = protection.seal(new.encode(), place)
    _, before = records.open_name(protection, identity, old)
    by = records.tag(protection, place, sealed) - before
    key = records.name_key(protection, new)
    sql.execute(
        "UPDATE identities SET name_key = ?, name = ? WHERE id = ?", (key, sealed, identity)
    )
    return replace(state, identities=state.identities.changed(0, by))


def identity_of(sql: sqlite3.Connection, protection: Protection, name: str) -> int | None:
    """The number of a person; None for a name unknown.

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
    """The rows of a person, in their order; of one model, or of all."""
    query = "SELECT sequence, identity, model, record FROM templates WHERE identity = ?"
    if model is None:
        return sql.execute(f"{query} ORDER BY sequence", (identity,)).fetchall()
    return sql.execute(f"{query} AND model = ? ORDER BY sequence", (identity, model)).fetchall()


def _stored(
    sql: sqlite3.Connection, model: int, keys: Sequence[bytes]
) -> dict[tuple[bytes, int], int]:
    """The templates that were made of some photos already: photo and person -> sequence number."""
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
    sql: sqlite3.Connection, protection: Protection, state: State, names: Iterable[str]
) -> tuple[State, dict[str, int]]:
    """The number of each person, known or new."""
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
    identities = state.identities.changed(len(written), records.total(tags))
    return replace(state, identities=identities), people


def forget_people(
    sql: sqlite3.Connection, protection: Protection, state: State, people: Iterable[int]
) -> State:
    """Remove those of these people who have no template left."""
    for identity in people:
        if sql.execute("SELECT 1 FROM templates WHERE identity = ?", (identity,)).fetchone():
            continue
        (name,) = sql.execute("SELECT name FROM identities WHERE id = ?", (identity,)).fetchone()
        _, tag = records.open_name(protection, identity, name)
        state = replace(state, identities=state.identities.changed(-1, -tag))
        sql.execute("DELETE FROM identities WHERE id = ?", (identity,))
    return state


def last(sql: sqlite3.Connection, table: str) -> int:
    """The largest number that a row of the table ever had."""
    found = sql.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return int(found[0]) if found else 0
