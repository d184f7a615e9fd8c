"""Schema of a gallery on PostgreSQL: tables, migrations, version check, roles.

Each gallery is a separate schema, ``faceverify_NAME``. Sequence numbers do not come from a
PostgreSQL sequence: its numbers become visible out of order, and a reader that continues after the
greatest number it saw would miss a transaction that commits late. They come from a counter row that
a writing transaction locks until it has committed, so that number n is visible before n + 1.
"""

from __future__ import annotations

from psycopg import errors, sql

from faceverify.errors import GalleryError
from faceverify.gallery.postgresql.address import Address
from faceverify.gallery.postgresql.session import Conn, enter

ONE_AT_A_TIME = 0x66766731  # "fvg1": advisory lock for creating and migrating a gallery

# toast_tuple_target: up to 2,000 dimensions a template stays in its row, where a scan finds it; the
# same as STORAGE PLAIN, which would refuse larger ones. STATISTICS 0: otherwise the planner's
# statistics keep samples of faces and names that a removal does not erase. Names are ordered by
# their bytes. No foreign keys: they halve the speed of enrollment, and writers are serialised by
# the counter; `check` looks for what foreign keys would forbid.
FIRST = """
CREATE TABLE gallery (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  application text NOT NULL DEFAULT 'faceverify' CHECK (application = 'faceverify'),
  version integer NOT NULL,
  last_sequence bigint NOT NULL DEFAULT 0,
  created timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 10);
CREATE TABLE writers (
  id uuid PRIMARY KEY,
  last_write bigint NOT NULL,
  time timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE TABLE models (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  dimension integer NOT NULL,
  indexed jsonb
);
CREATE TABLE identities (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE
);
CREATE TABLE templates (
  sequence bigint PRIMARY KEY,
  identity bigint NOT NULL,
  model integer NOT NULL,
  quality double precision NOT NULL,
  time double precision NOT NULL,
  checksum bigint NOT NULL,
  photo_hash bytea NOT NULL CHECK (octet_length(photo_hash) = 32),
  photo bytea NOT NULL,
  embedding vector NOT NULL,
  UNIQUE (identity, model, photo_hash)
) WITH (toast_tuple_target = 8160);
ALTER TABLE templates ALTER COLUMN embedding SET STORAGE EXTERNAL;
ALTER TABLE templates ALTER COLUMN embedding SET STATISTICS 0, ALTER COLUMN photo SET STATISTICS 0,
  ALTER COLUMN photo_hash SET STATISTICS 0;
ALTER TABLE identities ALTER COLUMN name SET STATISTICS 0;
CREATE INDEX templates_by_photo ON templates (photo_hash);
"""
MIGRATIONS = (FIRST,)  # migration i leads from version i to i + 1


def prepare(connection: Conn, address: Address, *, create: bool) -> None:
    """Create a missing gallery, migrate an old one, and set the session up for it.

    Raises:
        GalleryError: it does not exist, is another program's, or of a newer version.
    """
    version = version_of(connection, address)
    if version is None and not create:
        raise GalleryError(
            f"{address.shown}: there is no such gallery", cure="enroll somebody, which makes it",
            code="gallery-missing",
        )  # fmt: skip
    if version is None or version < len(MIGRATIONS):
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (ONE_AT_A_TIME,))
            version = version_of(connection, address)  # another process may have been first
            if version is None:
                _make(connection, address)
            _migrate(connection, address, version or 0)
    enter(connection, address)


def version_of(connection: Conn, address: Address) -> int | None:
    """Schema version; None if the gallery does not exist.

    Raises:
        GalleryError: the schema is another program's, or of a newer version.
    """
    row = connection.execute(
        "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = n.oid) FROM pg_namespace n"
        " WHERE nspname = %s",
        (address.schema,),
    ).fetchone()
    if row is None or row[0] == 0:  # an administrator may have created an empty schema
        return None
    table = sql.Identifier(address.schema, "gallery")
    query = sql.SQL("SELECT version FROM {} WHERE application = 'faceverify'").format(table)
    try:
        row = connection.execute(query).fetchone()
    except (errors.UndefinedTable, errors.UndefinedColumn):
        row = None
    if row is None:
        raise GalleryError(
            f"{address.shown}: the schema {address.schema} holds something else than a gallery",
            cure="choose another ?gallery=NAME",
            code="gallery-foreign",
        )
    version = int(row[0])
    if version > len(MIGRATIONS):
        raise GalleryError(
            f"{address.shown}: schema {version}, and this version of faceverify knows"
            f" {len(MIGRATIONS)}",
            cure="update faceverify",
            code="gallery-newer",
        )
    return version


def _make(connection: Conn, address: Address) -> None:
    """Create an empty schema, after checking pgvector and the database's encoding."""
    row = connection.execute("SHOW server_encoding").fetchone()
    if row is not None and row[0] != "UTF8":
        raise GalleryError(
            f"{address.shown}: the database's encoding is {row[0]}",
            cure="create one with ENCODING 'UTF8'",
        )
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except (errors.FeatureNotSupported, errors.UndefinedFile) as problem:
        raise GalleryError(
            f"{address.shown}: the server has no pgvector",
            cure="install it there (https://github.com/pgvector/pgvector)",
            code="gallery-unreachable",
        ) from problem
    except errors.InsufficientPrivilege as problem:
        raise GalleryError(
            f"{address.shown}: this user may not install pgvector in the database",
            cure="let its owner run: CREATE EXTENSION vector",
        ) from problem
    schema = sql.Identifier(address.schema)
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))


def _migrate(connection: Conn, address: Address, version: int) -> None:
    enter(connection, address)
    for migration in MIGRATIONS[version:]:
        connection.execute(migration)
    if version == 0:
        connection.execute("INSERT INTO gallery (version) VALUES (%s)", (len(MIGRATIONS),))
    else:
        connection.execute("UPDATE gallery SET version = %s", (len(MIGRATIONS),))


# The search role reads templates too: the distance is computed in the query. Identity columns need
# no separate right. TEMPORARY is for the staging table of COPY.
SEARCH_RIGHTS = """
GRANT USAGE ON SCHEMA {schema} TO {search};
GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {search};
"""
ENROLL_RIGHTS = """
GRANT {search} TO {enroll};
GRANT INSERT, UPDATE, DELETE ON writers, models, identities, templates TO {enroll};
GRANT UPDATE ON gallery TO {enroll};
GRANT TEMPORARY ON DATABASE {database} TO {enroll};
"""
REMOVE_RIGHTS = "GRANT MAINTAIN ON identities, templates TO {enroll};"  # since PostgreSQL 17


def create_roles(connection: Conn, address: Address) -> tuple[str, str]:
    """Create the gallery's two roles, or grant their rights again; returns (enroll, search).

    ``faceverify_NAME_search`` may search and change nothing; ``faceverify_NAME_enroll`` may enroll,
    rename and remove as well, but not change tables or build an index. Neither can log in:
    ``GRANT faceverify_NAME_search TO kiosk`` gives the role to a login user.
    """
    enroll, search = f"{address.schema}_enroll", f"{address.schema}_search"
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (ONE_AT_A_TIME,))
        for role in (enroll, search):
            query = "SELECT FROM pg_roles WHERE rolname = %s"
            if connection.execute(query, (role,)).fetchone() is None:
                create = sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role))
                connection.execute(create)
        rights = SEARCH_RIGHTS + ENROLL_RIGHTS
        if connection.info.server_version >= 170_000:
            rights += REMOVE_RIGHTS
        connection.execute(
            sql.SQL(rights).format(
                schema=sql.Identifier(address.schema),
                database=sql.Identifier(connection.info.dbname),
                enroll=sql.Identifier(enroll),
                search=sql.Identifier(search),
            )
        )
    return enroll, search
