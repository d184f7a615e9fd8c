"""Erasure of removed templates from the server's table files.

DELETE only marks a row, and VACUUM only frees its space: the bytes stay in the page until they are
overwritten. VACUUM FULL rewrites the table without the rows that no transaction can see; so older
transactions are waited for first. It locks the table meanwhile.
"""

from __future__ import annotations

import time

from faceverify.errors import GalleryError
from faceverify.gallery.postgresql.address import Address
from faceverify.gallery.postgresql.session import Conn, Session

TABLES = ("templates", "identities")
WAIT_SECONDS = 30.0

# A transaction that began before the rows were deleted may still read them, and so keeps them.
OLDER_TRANSACTIONS = """
WITH horizon AS (SELECT %s::xid8::xid AS number)
SELECT format('process %%s of %%s', pid, coalesce(usename, backend_type))
FROM pg_stat_activity, horizon
WHERE pid <> pg_backend_pid() AND (datname = current_database() OR datname IS NULL)
  AND (age(backend_xmin) > age(number) OR age(backend_xid) > age(number))
UNION ALL SELECT format('prepared transaction %%s', gid) FROM pg_prepared_xacts, horizon
WHERE database = current_database() AND age(transaction) > age(number)
UNION ALL SELECT format('replication slot %%s', slot_name) FROM pg_replication_slots, horizon
WHERE age(xmin) > age(number)
"""


def check_rights(connection: Conn, address: Address) -> None:
    """Check that the user may rewrite the tables, before anything is removed.

    Raises:
        GalleryError: the user may not.
    """
    if connection.info.server_version >= 170_000:
        right = "has_table_privilege(oid, 'MAINTAIN')"
    else:
        right = "pg_has_role(relowner, 'USAGE')"
    query = f"SELECT bool_and({right}) FROM pg_class WHERE oid = ANY(%s::regclass[])"  # noqa: S608
    row = connection.execute(query, (list(TABLES),)).fetchone()
    if row is None or not row[0]:
        raise GalleryError(
            f"{address.shown}: this user may not rewrite the tables, and so cannot erase anything",
            cure="ask the gallery's owner to do it, or for its enroll role (since PostgreSQL 17)",
        )


def rewrite(session: Session, address: Address) -> None:
    """Rewrite the tables and their indexes without the deleted rows.

    Raises:
        GalleryError: an older transaction did not end within WAIT_SECONDS.
    """
    _wait_for_older_transactions(session, address)
    for table in TABLES:
        session.outside(f"VACUUM (FULL, ANALYZE) {table}")


def _wait_for_older_transactions(session: Session, address: Address) -> None:
    def horizon(connection: Conn) -> str:
        row = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()
        assert row is not None
        return str(row[0])

    number = session.read(horizon)
    end = time.monotonic() + WAIT_SECONDS
    while True:
        found = session.read(
            lambda connection: connection.execute(OLDER_TRANSACTIONS, (number,)).fetchone()
        )
        if found is None:
            return
        if time.monotonic() > end:
            raise GalleryError(
                f"{address.shown}: removed, but {found[0]} still sees it, so its bytes stay",
                cure="let that end, and run `faceverify gallery compact`",
                code="gallery-locked",
            )
        time.sleep(0.05)
