"""``faceverify gallery fit-codes``: binary templates for faster searches of large galleries."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from faceverify.choices import CodeMethod
from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Gallery, KeyFile, open_gallery
from faceverify.cli.options import Json, Model
from faceverify.errors import UsageError


def fit(
    bits: Annotated[
        int, typer.Option("--bits", help="Of a template: 128 to 1024, a multiple of 8.")
    ] = 512,
    method: Annotated[
        CodeMethod, typer.Option("--method", help="Where the bits' directions come from.")
    ] = CodeMethod.CENTRED,
    model: Model = "default",
    gallery: Gallery = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Make binary templates (Hamming codes) of a gallery, and measure what they save and cost.

    `identify --search codes` then finds a shortlist by counting bits, and decides about it by
    embeddings. Fit again when the gallery has become another one. Folders only.

    **Examples:**

    `faceverify gallery fit-codes --bits 512`

    `faceverify identify visitor.jpg --search codes`
    """
    from faceverify.gallery.sqlite.store import SqliteStore
    from faceverify.models.registry import load_model

    model_id = load_model(model).id
    with open_gallery(gallery, key_file) as store:
        if not isinstance(store, SqliteStore):
            raise UsageError(
                f"{store.url}: binary templates are of galleries in folders",
                cure="servers have indexes of their own: `faceverify gallery index`",
            )
        found = store.fit_codes(model_id, bits=bits, method=method)
    text = (
        f"{found.bits} bits: {found.bytes} bytes a template instead of {found.embedding_bytes}; "
        f"a search takes {found.codes_ms:.2f} ms instead of {found.exact_ms:.2f} and finds "
        f"{found.recall:.1%} of the 5 nearest ({found.searches} searches)"
    )
    Console(json).result({"model_id": model_id, **asdict(found)}, text)
