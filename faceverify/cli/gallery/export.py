"""``faceverify gallery export``: templates into files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Gallery, KeyFile, open_gallery
from faceverify.cli.options import Json


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")],
    gallery: Gallery = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Write everybody's templates into files: JSON lines, and embeddings as .npz.

    The files are not encrypted, whatever the gallery is; only their owner can read them.

    **Example:** `faceverify gallery export people-2026/`
    """
    from faceverify.gallery.export import export_gallery

    with open_gallery(gallery, key_file) as store:
        count = export_gallery(store, folder)
    value = {"folder": str(folder), "templates": count}
    Console(json).result(value, f"{folder}: {count:,} templates")
