"""``faceverify gallery verify``: every checksum and seal of a gallery."""

from __future__ import annotations

import typer

from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Gallery, KeyFile, open_gallery
from faceverify.cli.options import Json
from faceverify.errors import UNUSABLE


def verify(gallery: Gallery = None, key_file: KeyFile = None, json: Json = False) -> None:
    """Check every checksum of a gallery; of an encrypted one, every seal.

    **Exit status:** 0 all is as it was stored, 2 something is damaged: one line for each thing.

    **Example:** `faceverify gallery verify && cp -r gallery backup`
    """
    console = Console(json)
    with open_gallery(gallery, key_file) as store:
        problems = store.check()
        found = store.stats() if not problems else None
    for problem in problems:
        console.result({"problem": problem}, problem)
    if found is None:
        raise typer.Exit(UNUSABLE)
    value = {"url": found.url, "identities": found.identities, "templates": found.templates}
    text = f"{found.url}: {found.templates:,} templates of {found.identities:,} people are intact"
    console.result({"problem": None, **value}, text)
