"""``faceverify gallery copy``: from one gallery to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.options import Json, Quiet


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
    value = {"source": old.url, "target": new.url, "templates": count, "held": held}
    console.result(value, f"{count:,} templates copied; {new.url} holds {held:,}")
