"""Opening a gallery by its URL; only the driver of its engine is imported."""

from __future__ import annotations

import re

from faceverify.choices import SearchMethod
from faceverify.errors import UsageError
from faceverify.gallery.store import Store
from faceverify.runtime.addresses import nearest_scheme, scheme_of

SCHEMES = ("postgresql", "postgres", "milvus")
KINDS = "A gallery is a folder's path, postgresql://..., or milvus://..."
MILVUS_PORT = ":19530"

# A URL that lost its scheme, user:password@host/db, and the parameters of libpq, host=... user=...
CONNECTION = re.compile(
    r"(?![.~]|/(?!/)|[A-Za-z]:[/\\])"
    r"(?:[^@]*:[^@]*@|//[^/]*@|\s*(?:host|hostaddr|dbname|user|password|port|service)\s*=)"
)


def open_store(
    url: str,
    *,
    create: bool = False,
    key: str | None = None,
    search: SearchMethod = SearchMethod.EXACT,
) -> Store:
    """Open a gallery by its URL: a folder's path, ``postgresql://...`` or ``milvus://...``.

    Args:
        url: the gallery.
        create: create the gallery if it does not exist.
        key: passphrase of an encrypted gallery; a new gallery is encrypted with it. Folders only.
        search: search method. Folders only.

    Raises:
        GalleryError: it does not exist, or is damaged, foreign, of a newer version, or locked.
        UsageError: an address of no known kind, or a search method that its engine does not have.
    """
    scheme = engine_scheme(url)
    if scheme and search is not SearchMethod.EXACT:
        raise UsageError(
            f"--search {search.value}: only galleries in folders have it",
            cure="leave it out; PostgreSQL has an index: `faceverify gallery index`",
        )
    if scheme in ("postgresql", "postgres"):
        from faceverify.gallery.postgresql.store import PostgresStore

        return PostgresStore(url, create=create)
    if scheme == "milvus":
        from faceverify.gallery.milvus.store import MilvusStore

        return MilvusStore(url, create=create)
    from faceverify.gallery.sqlite.store import SqliteStore

    return SqliteStore(url, create=create, key=key, search=search)


def engine_scheme(url: str) -> str:
    """Scheme of a gallery's URL, one of those known; empty for a folder.

    Raises:
        UsageError: an address of another kind. The message repeats nothing of it but the scheme.
    """
    scheme = scheme_of(url)
    if url.partition("://")[0] in SCHEMES:
        return scheme
    if scheme:
        near = nearest_scheme(scheme, SCHEMES)
        if not near and MILVUS_PORT in url:
            near = "milvus"
        if near == scheme:
            raise UsageError(
                f"--gallery: begins almost as {near}://", cure=f"write it as {near}://..."
            )
        raise UsageError(
            f"--gallery: {scheme}:// is no kind of gallery",
            cure=f"did you mean {near}://...? {KINDS}" if near else KINDS,
        )
    if CONNECTION.match(url):
        raise UsageError(
            "--gallery: looks like the address of a server, without its scheme",
            cure="write postgresql://USER@HOST/DATABASE or milvus://HOST:PORT/GALLERY; a folder of"
            " that name is ./NAME",
        )
    return ""
