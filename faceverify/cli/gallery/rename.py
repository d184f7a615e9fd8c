"""``faceverify gallery rename``: another name for a person."""

from __future__ import annotations

from typing import Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Audit, Gallery, KeyFile, open_audit, open_gallery
from faceverify.cli.options import Json


def rename(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The name now.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The name from now on.")],
    gallery: Gallery = None,
    key_file: KeyFile = None,
    audit: Audit = None,
    json: Json = False,
) -> None:
    """Give a person another name; two people are never made one.

    **Example:** `faceverify gallery rename "Alice Smith" "Alice Jones"`
    """
    from faceverify.gallery.names import checked_name, unknown_name

    console, log = Console(json), open_audit(audit)
    old, new = checked_name(old), checked_name(new)
    with open_gallery(gallery, key_file) as store:
        templates = store.rename(old, new)
        if not templates:
            raise unknown_name(old, store)
        if log is not None:
            log.append("rename", name=old, new_name=new, templates=templates)
    value = {"name": new, "old_name": old, "templates": templates}
    console.result(value, f"{old} is {new} now, with {templates} template{'s' * (templates != 1)}")
