"""Options of the commands that use a gallery, and how they open it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from faceverify.choices import Fusion, SearchMethod
from faceverify.errors import GalleryError, UsageError

if TYPE_CHECKING:
    from faceverify.gallery.audit import AuditLog
    from faceverify.gallery.postgresql.store import PostgresStore
    from faceverify.gallery.store import Store

KEY = "FACEVERIFY_GALLERY_KEY"

Result = TypeVar("Result")

ComparisonRate = Annotated[
    float,
    typer.Option("--fmr", help="False match rate of one comparison.", metavar="RATE"),
]
Gallery = Annotated[
    str | None,
    typer.Option(
        "--gallery",
        "-g",
        metavar="URL",
        envvar="FACEVERIFY_GALLERY",
        help="A folder, postgresql://... or milvus://...; by default ~/.local/share/faceverify/"
        "gallery.",
        show_default=False,
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        metavar="FILE",
        help=f"Holds the passphrase of an encrypted gallery; so can the variable {KEY}.",
        show_default=False,
    ),
]
Fusing = Annotated[
    Fusion,
    typer.Option(
        "--fusion",
        help="How a person's several templates make one distance: of the nearest, or their mean.",
    ),
]
Searching = Annotated[
    SearchMethod,
    typer.Option(
        "--search",
        help="How a folder is searched: every embedding, or a shortlist by the binary templates of "
        "`gallery fit-codes`.",
    ),
]
Audit = Annotated[
    Path | None,
    typer.Option(
        "--audit",
        metavar="FILE",
        envvar="FACEVERIFY_AUDIT",
        help="Append what is done and decided to this log.",
        show_default=False,
    ),
]
Fpir = Annotated[
    float,
    typer.Option(
        "--fpir",
        help="How often a person who is not enrolled may be taken for one who is.",
        min=0,
        max=1,
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        help="The largest distance that still matches, instead of --fpir.",
        min=0,
        max=2,
        show_default=False,
    ),
]


def open_gallery(
    url: str | None,
    key_file: Path | None,
    *,
    create: bool = False,
    search: SearchMethod = SearchMethod.EXACT,
) -> Store:
    """Open the gallery that the options mean.

    Raises:
        GalleryError: it cannot be opened, or the key file cannot be read.
        UsageError: a search that its engine does not have.
    """
    from faceverify.gallery.open import open_store

    key = passphrase(key_file)
    return open_store(url or default_gallery(), create=create, key=key, search=search)


@contextmanager
def gallery_beside(
    load: Callable[[], Result],
    url: str | None,
    key_file: Path | None,
    *,
    create: bool = False,
    search: SearchMethod = SearchMethod.EXACT,
) -> Iterator[tuple[Result, Store]]:
    """Load something, such as a model, while the gallery is opened; close the gallery at the end.

    Raises:
        GalleryError, UsageError: as :func:`open_gallery`.
        Whatever ``load`` raises.
    """
    pool = ThreadPoolExecutor(1)
    loading = pool.submit(load)
    pool.shutdown(wait=False)  # where the gallery cannot be opened, nobody waits for the model
    with open_gallery(url, key_file, create=create, search=search) as store:
        yield loading.result(), store


def open_audit(path: Path | None) -> AuditLog | None:
    """The audit log that the option means."""
    if path is None:
        return None
    from faceverify.gallery.audit import AuditLog

    return AuditLog(path)


def default_gallery() -> str:
    """Beside the user's models: ``$FACEVERIFY_HOME``, or faceverify's XDG data folder."""
    from faceverify.models.registry import user_folder

    return str(user_folder().with_name("gallery"))


def passphrase(key_file: Path | None) -> str | None:
    """The passphrase out of a file, less the end of its line, or out of the environment.

    Raises:
        GalleryError: the file cannot be read, or holds none (code ``gallery-key``).
    """
    if key_file is None:
        return os.environ.get(KEY) or None
    try:
        found = key_file.read_text("utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise GalleryError(
            f"{key_file}: the key cannot be read ({reason})",
            cure="name a file whose first line is the passphrase",
            code="gallery-key",
        ) from None
    if not found:
        raise GalleryError(
            f"{key_file}: holds no passphrase", cure="write one into it", code="gallery-key"
        )
    return found


def open_server(url: str | None) -> PostgresStore:
    """Open a gallery on a PostgreSQL server.

    Raises:
        UsageError: it is none.
    """
    from faceverify.gallery.open import engine_scheme

    url = url or default_gallery()
    if not engine_scheme(url).startswith("postgres"):
        raise UsageError(
            "only a gallery on a PostgreSQL server has this", cure="name one with --gallery"
        )
    from faceverify.gallery.postgresql.store import PostgresStore

    return PostgresStore(url)
