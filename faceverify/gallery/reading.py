"""Rows of an embedded gallery become templates: opened, and checked on the way."""

from __future__ import annotations

from faceverify.errors import GalleryError
from faceverify.gallery import rows
from faceverify.gallery.database import Database
from faceverify.gallery.state import State
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
    for sequence, identity, model, record, name in database.sql.execute(QUERY + condition, values):
        opened = database.protection.open(record, rows.template_place(sequence, identity, model))
        found.append(
            rows.unpack(
                opened,
                name=name_of(database, identity, name),
                sequence=sequence,
                model=state.model_of(model).name,
            )
        )
    return found


def name_of(database: Database, identity: int, sealed: bytes | None) -> str:
    """A person's name, of the row's column.

    Raises:
        GalleryError: it is damaged, or the row is missing.
    """
    if sealed is None:
        raise GalleryError(
            f"{database.path}: identities/{identity} is missing",
            cure="restore a backup",
            code="gallery-damaged",
        )
    return database.protection.open(sealed, rows.identity_place(identity)).decode()
