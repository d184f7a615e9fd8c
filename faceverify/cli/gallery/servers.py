"""``faceverify gallery index`` and ``roles``: what only a PostgreSQL server has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Gallery, default_gallery
from faceverify.cli.options import Json
from faceverify.errors import UsageError

if TYPE_CHECKING:
    from faceverify.gallery.postgresql.store import PostgresStore


def index(
    gallery: Gallery = None,
    effort: Annotated[
        int, typer.Option("--effort", help="Nodes that a search keeps in view.", min=1, max=1000)
    ] = 100,
    connections: Annotated[
        int, typer.Option("--connections", help="Of each node of the graph.", min=2, max=100)
    ] = 16,
    construction: Annotated[
        int, typer.Option("--construction", help="Effort while it is built.", min=4, max=1000)
    ] = 64,
    json: Json = False,
) -> None:
    """Build an approximate index (HNSW) in a PostgreSQL gallery, and measure what it misses.

    Searches stay exact; only those of a URL with `search=hnsw` follow the index. What it finds of
    the true 5 nearest is measured on the gallery itself. Enrolling and searching go on meanwhile.

    **Example:** `faceverify gallery index --gallery postgresql://db/faces`
    """
    from faceverify.gallery.postgresql.index import build_index

    with _server(gallery) as store:
        for model in store.count():
            report = build_index(
                store,
                model=model,
                effort=effort,
                connections=connections,
                construction=construction,
            )
            text = (
                f"{model}: {report.templates:,} templates indexed in {report.seconds:.1f} s,"
                f" {report.megabytes:.1f} MB: finds {report.recall:.1%} of the {report.count}"
                f" nearest in {report.index_ms:.1f} ms, exact search in {report.exact_ms:.1f} ms"
            )
            Console(json).result(vars(report), text)


def roles(gallery: Gallery = None, json: Json = False) -> None:
    """Make the roles of a PostgreSQL gallery: one may enrol and remove, one may only search.

    They cannot log in. Make login users members of them: `GRANT faceverify_default_search TO door`.

    **Example:** `faceverify gallery roles --gallery postgresql://db/faces`
    """
    with _server(gallery) as store:
        enrol, search = store.create_roles()
    Console(json).result({"enrol": enrol, "search": search}, f"{enrol}\n{search}")


def _server(url: str | None) -> PostgresStore:
    """Open a gallery that is on a PostgreSQL server."""
    url = url or default_gallery()
    if not url.startswith(("postgresql://", "postgres://")):
        raise UsageError(
            "only a gallery on a PostgreSQL server has this", cure="name one with --gallery"
        )
    from faceverify.gallery.postgresql.store import PostgresStore

    return PostgresStore(url)
