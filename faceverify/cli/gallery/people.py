"""``faceverify gallery remove`` and ``rename``."""

from __future__ import annotations

from typing import Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Audit, Gallery, KeyFile, open_audit, open_gallery
from faceverify.cli.options import Json


def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAMES", help="The people.")],
    template: Annotated[
        list[int] | None,
        typer.Option(
            "--template",
            help="Only this template of the person; may be given several times.",
            show_default=False,
        ),
    ] = None,
    gallery: Gallery = None,
    key_file: KeyFile = None,
    audit: Audit = None,
    json: Json = False,
) -> None:
    """Remove people, or some of a person's templates, for good.

    Once this returns, their bytes are in none of the gallery's own files. Backups, exports, the
    photos themselves and the audit log are not touched: see docs/gallery.md.

    **Exit status:** 0 removed, 2 somebody is not enrolled; then nobody was removed.

    **Examples:**

    `faceverify gallery remove alice bob`

    `faceverify gallery remove alice --template 17`
    """
    from faceverify.errors import GalleryError, UsageError
    from faceverify.gallery.names import checked_name, unknown_name

    if template and len(names) > 1:
        raise UsageError("--template belongs to one person", cure="name one person only")
    console, log = Console(json), open_audit(audit)
    people = [checked_name(name) for name in names]
    with open_gallery(gallery, key_file) as store:
        for name in people:  # before anything is removed
            known = {one.sequence for one in store.of(name)}
            if not known:
                raise unknown_name(name, store)
            if strangers := sorted(set(template or []) - known):
                raise GalleryError(
                    f"{name!r} has no template {strangers[0]}",
                    cure="see `faceverify gallery show`",
                    code="gallery-unknown-template",
                )
        for name in people:
            removed = store.remove(name, sequences=template)
            if log is not None:
                log.append("remove", name=name, templates=removed, numbers=template)
            console.result(
                {"name": name, "removed": removed},
                f"{name}: {removed} template{'s' * (removed != 1)} removed",
            )


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
    told = {"name": new, "old_name": old, "templates": templates}
    console.result(told, f"{old} is {new} now, with {templates} template{'s' * (templates != 1)}")
