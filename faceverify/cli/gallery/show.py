"""``faceverify gallery show``: the templates of a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Gallery, KeyFile, open_gallery
from faceverify.cli.options import Json

if TYPE_CHECKING:
    from faceverify.gallery.store import StoredTemplate


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The person.")],
    gallery: Gallery = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Show a person's templates: number, photo, quality, time and model.

    **Example:** `faceverify gallery show alice --json | jq .photo`
    """
    from faceverify.gallery.names import checked_name, unknown_name

    console = Console(json)
    name = checked_name(name)
    with open_gallery(gallery, key_file) as store:
        templates = store.of(name)
        if not templates:
            raise unknown_name(name, store)
    for template in templates:
        value = as_dict(template)
        text = "{template}\t{photo}\tquality {quality:.2f}\t{time}\t{model_id}".format(**value)
        console.result(value, text)


def as_dict(template: StoredTemplate) -> dict[str, Any]:
    """A template in plain values, for JSON."""
    from datetime import datetime, timezone

    time = datetime.fromtimestamp(template.time, timezone.utc)
    return {
        "name": template.name,
        "template": template.sequence,
        "photo": template.photo,
        "photo_hash": template.photo_hash.hex(),
        "quality": round(template.quality, 4),
        "time": time.isoformat(timespec="seconds"),
        "model_id": template.model,
    }
