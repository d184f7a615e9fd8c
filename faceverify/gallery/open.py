"""Which engine a gallery's URL means; only its driver is imported."""

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
        create: make a gallery where there is none.
        key: passphrase of an encrypted gallery; a new one becomes encrypted by it. Paths only.
        search: how. Paths only.

    Raises:
        GalleryError: there is none, it is damaged, foreign, of a newer version, or locked.
        UsageError: a search that this engine does not have.
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
