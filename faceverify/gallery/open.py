"""Which engine a gallery's URL means; only its driver is imported."""

from __future__ import annotations

from faceverify.gallery.store import Store


def open_store(url: str, *, create: bool = False, key: str | None = None) -> Store:
    """Open a gallery by its URL: a folder's path, ``postgresql://...`` or ``milvus://...``.

    Args:
        create: make a gallery where there is none.
        key: passphrase of an encrypted gallery; a new one becomes encrypted by it. Paths only.

    Raises:
        GalleryError: there is none, it is damaged, foreign, of a newer version, or locked.
    """
    scheme = url.split("://", 1)[0] if "://" in url else ""
    if scheme in ("postgresql", "postgres"):
        from faceverify.gallery.postgresql.store import PostgresStore

        return PostgresStore(url, create=create)
    if scheme == "milvus":
        from faceverify.gallery.milvus.store import MilvusStore

        return MilvusStore(url, create=create)
    from faceverify.gallery.sqlite import SqliteStore

    return SqliteStore(url, create=create, key=key)
