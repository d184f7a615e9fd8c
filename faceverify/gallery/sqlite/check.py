"""Check of an embedded gallery: every page, every row, and that none is missing or too many."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from faceverify.errors import GalleryError
from faceverify.gallery.sqlite import records
from faceverify.gallery.sqlite.database import Database
from faceverify.gallery.sqlite.manifest import RowSet, State


def check_database(database: Database) -> list[str]:
    """One line for each thing that is wrong; none for a gallery that is whole."""
    try:
        with database.reading() as state:
            return list(_problems(database, state))
    except GalleryError as problem:
        return [str(problem)]


def _problems(database: Database, state: State) -> Iterator[str]:
    try:
        for (line,) in database.sql.execute("PRAGMA integrity_check"):
            if line != "ok":
                yield f"{database.path}: {' '.join(line.split())}"
        yield from _identities(database, state)
        yield from _templates(database, state)
    except sqlite3.DatabaseError as problem:
        yield f"{database.path}: {problem}"


def _identities(database: Database, state: State) -> Iterator[str]:
    protection, found = database.protection, RowSet()
    for identity, key, sealed in database.sql.execute("SELECT id, name_key, name FROM identities"):
        try:
            name, tag = records.open_name(protection, identity, sealed)
        except GalleryError as problem:
            yield str(problem)
            continue
        found = found.changed(1, tag)
        if records.name_key(protection, name) != key:
            yield f"identities/{identity}: is filed under another name"
    yield from _compared(found, state.identities, "people")
    alone = "SELECT id FROM identities WHERE id NOT IN (SELECT identity FROM templates)"
    for (identity,) in database.sql.execute(alone):
        yield f"identities/{identity}: has no template"


def _templates(database: Database, state: State) -> Iterator[str]:
    protection = database.protection
    found: dict[int, RowSet] = {model.key: RowSet() for model in state.models.values()}
    query = (
        "SELECT t.sequence, t.identity, t.model, t.photo_key, t.record, i.id FROM templates t "
        "LEFT JOIN identities i ON i.id = t.identity"
    )
    for sequence, identity, model, key, record, owner in database.sql.execute(query):
        try:
            opened, tag = records.open_template(protection, sequence, identity, model, record)
            records.embedding_bytes(opened, state.model_of(model).width)
        except GalleryError as problem:
            yield str(problem)
            continue
        found[model] = found[model].changed(1, tag)
        if records.photo_key(protection, opened[:32]) != key:
            yield f"templates/{sequence}: is filed under another photo"
        if owner is None:
            yield f"templates/{sequence}: belongs to nobody"
    for known in state.models.values():
        yield from _compared(found[known.key], known.rows, f"templates of model {known.name}")


def _compared(found: RowSet, expected: RowSet, what: str) -> Iterator[str]:
    if found.count != expected.count:
        yield f"{found.count} {what}, where {expected.count} were enrolled"
    elif found != expected:
        yield f"{what}: others than those enrolled"
