"""Rows of an embedded gallery become templates: opened, and checked on the way."""

from __future__ import annotations

from itertools import pairwise

from faceverify.errors import GalleryError
from faceverify.gallery.sqlite import records
from faceverify.gallery.sqlite.database import Database
from faceverify.gallery.sqlite.manifest import State
from faceverify.gallery.store import StoredTemplate

QUERY = (
    "SELECT t.sequence, t.identity, t.model, t.record, i.name "
    "FROM templates t LEFT JOIN identities i ON i.id = t.identity WHERE "
)
# what the condition of a query may be
AFTER = "t.sequence > ? ORDER BY t.sequence LIMIT ?"
NUMBERED = "t.sequence = ?"
OF_PERSON = "t.identity = ? ORDER BY t.sequence"
OF_PHOTO = "t.photo_key = ? ORDER BY t.sequence"


def templates(
    database: Database, state: State, condition: str, *values: int | bytes
) -> list[StoredTemplate]:
    """Templates under one of the conditions above, inside the caller's transaction.

    Raises:
        GalleryError: one of them is damaged.
    """
    found = []
    for sequence, identity, model, record, sealed in database.sql.execute(
        QUERY + condition, values
    ):
        opened, _ = records.open_template(database.protection, sequence, identity, model, record)
        name, _ = records.open_name(database.protection, identity, sealed)
        model_id = state.model_of(model).name
        found.append(records.unpack(opened, name=name, sequence=sequence, model=model_id))
    return found


def check_rising(sequences: list[int], after: int) -> None:
    """Make sure that a page of rows goes on, so that whoever turns the pages comes to an end.

    Raises:
        GalleryError: it goes back.
    """
    if any(later <= earlier for earlier, later in pairwise([after, *sequences])):
        raise GalleryError(
            f"templates after {after}: are out of their order: the database is damaged",
            cure="restore a backup",
            code="gallery-damaged",
        )
