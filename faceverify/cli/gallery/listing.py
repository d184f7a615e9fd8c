"""``faceverify gallery list``, ``show`` and ``stats``: what a gallery holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Gallery, KeyFile, open_gallery
from faceverify.cli.options import Json

if TYPE_CHECKING:
    from faceverify.gallery.store import StoredTemplate


def list_people(gallery: Gallery = None, key_file: KeyFile = None, json: Json = False) -> None:
    """List the people, by name, with the number of their templates.

    **Example:** `faceverify gallery list | wc -l`
    """
    console = Console(json)
    with open_gallery(gallery, key_file) as store:
        for name, templates in store.names():
            console.result({"name": name, "templates": templates}, f"{name}\t{templates}")


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
        told = as_dict(template)
        text = "{template}\t{photo}\tquality {quality:.2f}\t{time}\t{model_id}".format(**told)
        console.result(told, text)


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


def stats(gallery: Gallery = None, key_file: KeyFile = None, json: Json = False) -> None:
    """Say what a gallery holds: engine, people, templates, models, bytes.

    **Example:** `faceverify gallery stats --json | jq .templates`
    """
    from faceverify.recognition.template_count import name_of_model

    with open_gallery(gallery, key_file) as store:
        found = store.stats()
    lines = [f"{found.url} ({found.engine})"]
    lines += [f"  {found.identities:>12,}  people", f"  {found.templates:>12,}  templates"]
    for model, count in sorted(found.models.items()):
        lines.append(f"  {count:>12,}  of {name_of_model(model)} ({model})")
    for name, value in found.details.items():
        shown = f"{value:,}" if type(value) is int else value
        lines.append(f"  {name}: {shown}")
    Console(json).result(asdict(found), "\n".join(lines))
