"""``faceverify gallery compact``: space given back, search files built."""

from __future__ import annotations

from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Gallery, KeyFile, open_gallery
from faceverify.cli.options import Json


def compact(gallery: Gallery = None, key_file: KeyFile = None, json: Json = False) -> None:
    """Give back the space of what was removed, and build the search files again.

    **Example:** `faceverify gallery compact`
    """
    with open_gallery(gallery, key_file) as store:
        before = store.stats()
        store.compact()
        after = store.stats()
    value = {"url": after.url, "bytes_before": before.details.get("bytes")}
    value["bytes"] = after.details.get("bytes")
    size = after.details.get("bytes")
    shown = f": {size:,} bytes" if isinstance(size, int) else ""
    Console(json).result(value, f"{after.url} is compact{shown}")
