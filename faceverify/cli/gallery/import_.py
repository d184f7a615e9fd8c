"""``faceverify gallery import``: templates from the files of an export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Gallery, KeyFile, open_gallery
from faceverify.cli.options import Json, Quiet


def import_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What export wrote.")],
    gallery: Gallery = None,
    key_file: KeyFile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read templates that `export` wrote into a gallery, which is made if there is none.

    A template that is there already, of the same person, photo and model, is not stored twice; so
    an import that was cut short is simply started again.

    **Example:** `faceverify gallery import people-2026/ --gallery postgresql://db/faces`
    """
    from faceverify.gallery.copy import add_templates
    from faceverify.gallery.export import read_export

    console = Console(json, quiet)
    with open_gallery(gallery, key_file, create=True) as store:
        templates = console.progress(read_export(folder), "templates")
        count = add_templates(store, templates)
        held = sum(store.count().values())
    value = {"folder": str(folder), "templates": count, "gallery": store.url, "held": held}
    text = f"{count:,} templates read; {store.url} holds {held:,}"
    console.result(value, text)
