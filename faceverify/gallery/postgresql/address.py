"""URL of a gallery on a PostgreSQL server: parsed, and shown without its password.

``postgresql://user:password@host:port/database?gallery=NAME&search=hnsw`` with any other parameter
of libpq (``sslmode=verify-full``, ``passfile=...``). Missing parts come from libpq's environment
variables and files: ``PGHOST``, ``PGPASSWORD``, ``~/.pgpass``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import quote, unquote

from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import ProgrammingError

from faceverify.errors import GalleryError

SCHEMES = ("postgresql://", "postgres://")
PREFIX = "faceverify_"  # of a gallery's schema
LONGEST_NAME = 44  # bytes: with the prefix and "_search" it fits the 63 of PostgreSQL's names
DEFAULTS = {
    "application_name": "faceverify",
    "client_encoding": "utf8",
    # a host that vanished is noticed within about a minute
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}


class SearchKind(str, Enum):
    """Search method on PostgreSQL."""

    EXACT = "exact"  # compares every template
    HNSW = "hnsw"  # uses an approximate index built before; may miss some


@dataclass(frozen=True)
class Address:
    """Address of a gallery on a PostgreSQL server.

    Attributes:
        parameters: libpq's connection parameters; may include the password.
        gallery: name of the gallery in the database.
        search: search method.
        shown: the URL without password.
    """

    parameters: dict[str, str] = field(repr=False)
    gallery: str
    search: SearchKind
    shown: str

    @property
    def schema(self) -> str:
        """The schema that holds the gallery's tables."""
        return PREFIX + self.gallery


def parse(url: str) -> Address:
    """Parse a URL.

    Raises:
        GalleryError: it is malformed. The message contains no part of the URL, as the malformed
            part may be the password.
    """
    plain, _, query = url.partition("?")
    own = {"gallery": "default", "search": SearchKind.EXACT.value}
    others = []
    for piece in filter(None, query.split("&")):
        key, _, value = piece.partition("=")
        if key in own:
            own[key] = unquote(value)
        else:
            others.append(piece)
    path = plain.partition("://")[2].partition("/")[2]
    try:
        if "@" in path or not plain.startswith(SCHEMES):  # a password with a slash in it
            raise ProgrammingError
        found = conninfo_to_dict(plain + ("?" + "&".join(others) if others else ""))
        if not str(found.get("port", "")).replace(",", "").isdigit() and "port" in found:
            raise ProgrammingError
        if "@" in str(found.get("host", "")):  # the end of a password with an @ in it
            raise ProgrammingError
    except ProgrammingError:
        raise GalleryError(
            "the postgresql:// URL cannot be read",
            cure="write postgresql://USER@HOST:PORT/DATABASE?gallery=NAME, and special characters"
            " as %XX",
        ) from None
    given = {key: str(value) for key, value in found.items() if value is not None}
    gallery, shown = own["gallery"], _shown(given, own)
    if not gallery or "\0" in gallery or len(gallery.encode("utf-8", "replace")) > LONGEST_NAME:
        raise GalleryError(
            f"{shown}: gallery={gallery!a} is no name of a gallery",
            cure=f"use 1 to {LONGEST_NAME} bytes",
        )
    try:
        search = SearchKind(own["search"])
    except ValueError:
        raise GalleryError(
            f"{shown}: search={own['search']!a} is unknown", cure="use search=exact or hnsw"
        ) from None
    return Address(DEFAULTS | given, gallery, search, shown)


def _shown(given: dict[str, str], own: dict[str, str]) -> str:
    user = quote(given["user"], safe="") + "@" if "user" in given else ""
    port = ":" + given["port"] if "port" in given else ""
    host = quote(given.get("host", ""), safe="[]:,.")
    database = quote(given.get("dbname", ""), safe="")
    search = "" if own["search"] == SearchKind.EXACT else f"&search={quote(own['search'])}"
    gallery = quote(own["gallery"].encode("utf-8", "surrogateescape"), safe="")
    return f"postgresql://{user}{host}{port}/{database}?gallery={gallery}{search}"
