"""``faceverify gallery list``: who is enrolled."""

from __future__ import annotations

from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Gallery, KeyFile, open_gallery
from faceverify.cli.options import Json


def list_people(gallery: Gallery = None, key_file: KeyFile = None, json: Json = False) -> None:
    """List the people, by name, with the number of their templates.

    **Example:** `faceverify gallery list | wc -l`
    """
    console = Console(json)
    with open_gallery(gallery, key_file) as store:
        for name, templates in store.names():
            console.result({"name": name, "templates": templates}, f"{name}\t{templates}")
