"""URL of a gallery on Milvus: parsed, and shown without its password.

A server or cluster: ``milvus://user:password@host:port/gallery?database=NAME&tls=1``. A file of
milvus-lite, inside this process: ``milvus:///path/to/file.db?gallery=NAME``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from faceverify.errors import GalleryError

PORT = 19530
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")  # Milvus's rule, with room for a suffix


@dataclass(frozen=True)
class Address:
    """Address of a gallery on Milvus.

    Attributes:
        uri: URI for pymilvus.
        token: user and password; empty for none.
        database: database of the server; empty for its default.
        gallery: name of the collection that lists the models, and prefix of their collections.
        file: file of milvus-lite; None for a server.
        shown: the URL without password.
    """

    uri: str
    token: str = field(repr=False)
    database: str
    gallery: str
    file: Path | None
    shown: str


def parse(url: str) -> Address:
    """Parse a URL.

    Raises:
        GalleryError: it is malformed. The message contains no part that may be secret.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        raise _unreadable() from None
    options = {"gallery": "faceverify", "database": "", "tls": ""}
    for piece in filter(None, parts.query.split("&")):
        key, _, value = piece.partition("=")
        if key not in options:
            raise _unreadable()
        options[key] = unquote(value)
    if parts.fragment or ("@" in parts.path and host):
        raise _unreadable()
    path = unquote(parts.path)
    gallery = options["gallery"] if not host else path.strip("/") or options["gallery"]
    if not NAME.fullmatch(gallery):
        raise GalleryError(
            f"milvus: {gallery!a} is no name of a gallery",
            cure="use letters, digits and underscores",
        )
    if not host:
        if not path.endswith(".db"):
            raise GalleryError(
                f"milvus://{path}: a file of milvus-lite ends in .db",
                cure="write milvus:///path/to/file.db, or milvus://HOST:PORT/GALLERY for a server",
            )
        shown = f"milvus://{quote(path)}?gallery={gallery}"
        return Address(path, "", "", gallery, Path(path), shown)
    user = unquote(parts.username or "")
    token = f"{user}:{unquote(parts.password or '')}" if user else ""
    scheme = "https" if options["tls"] not in ("", "0") else "http"
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    shown = f"milvus://{quote(user) + '@' if user else ''}{place}/{gallery}"
    if options["database"]:
        shown += f"?database={quote(options['database'])}"
    return Address(f"{scheme}://{place}", token, options["database"], gallery, None, shown)


def _unreadable() -> GalleryError:
    return GalleryError(
        "the milvus:// URL cannot be read",
        cure="write milvus://USER:PASSWORD@HOST:PORT/GALLERY?database=NAME&tls=1, or"
        " milvus:///path/to/file.db, and special characters as %XX",
    )
