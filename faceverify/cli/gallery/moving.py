"""``faceverify gallery export``, ``import`` and ``copy``: from one place to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Gallery, KeyFile, open_gallery
from faceverify.cli.options import Json, Quiet


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
    told = {"folder": str(folder), "templates": count}
    Console(json).result(told, f"{folder}: {count:,} templates")


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
    told = {"folder": str(folder), "templates": count, "gallery": store.url, "held": held}
    text = f"{count:,} templates read; {store.url} holds {held:,}"
    console.result(told, text)


def copy(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A gallery's folder or URL.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Another, made if missing.")],
    source_key_file: Annotated[
        Path | None,
        typer.Option("--source-key-file", metavar="FILE", help="Of an encrypted source."),
    ] = None,
    target_key_file: Annotated[
        Path | None,
        typer.Option("--target-key-file", metavar="FILE", help="Of an encrypted target."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Copy a gallery to another engine or another key; the numbers of templates are new there.

    A copy that was cut short is simply started again. FACEVERIFY_GALLERY_KEY is not used: say
    which side a key belongs to.

    **Examples:**

    `faceverify gallery copy gallery/ postgresql://db/faces`

    `faceverify gallery copy gallery/ encrypted/ --target-key-file key`
    """
    from faceverify.cli.gallery_options import passphrase
    from faceverify.gallery.copy import copy_gallery
    from faceverify.gallery.open import open_store

    console = Console(json, quiet)
    files = (source_key_file, target_key_file)
    keys = [None if file is None else passphrase(file) for file in files]
    with (
        open_store(source, key=keys[0]) as old,
        open_store(target, create=True, key=keys[1]) as new,
    ):
        total = sum(old.count().values())
        count = copy_gallery(
            old, new, progress=lambda items: console.progress(items, "templates", total)
        )
        held = sum(new.count().values())
    told = {"source": source, "target": new.url, "templates": count, "held": held}
    console.result(told, f"{count:,} templates copied; {new.url} holds {held:,}")
