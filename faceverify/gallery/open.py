"""Opening a gallery by its URL; only the driver of its engine is imported."""

from __future__ import annotations

from faceverify.choices import SearchMethod
from faceverify.errors import UsageError
from faceverify.gallery.store import Store


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
        UsageError: the engine does not have the search method.
    """
    scheme = url.split("://", 1)[0] if "://" in url else ""
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
