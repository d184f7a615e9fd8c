"""``faceverify gallery remove``: people, or some templates of a person."""

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
