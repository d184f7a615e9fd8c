"""``faceverify gallery stats``: how large a gallery is."""

from __future__ import annotations

from dataclasses import asdict

from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Gallery, KeyFile, open_gallery
from faceverify.cli.options import Json


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
