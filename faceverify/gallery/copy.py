"""From one gallery to another, whatever their engines: every bit of a template, a batch at a time.

What is there already, of the same person, photo and model, is not stored twice. So a copy that was
cut short is simply made again, and one of a gallery that has grown brings what is new. What was
removed from the source meanwhile stays in the target: a copy removes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from faceverify.gallery.store import Store, StoredTemplate

BATCH = 2_000  # templates that are added in one step; with 512 numbers each, 4 MB

Progress = Callable[[Iterator[StoredTemplate]], Iterable[StoredTemplate]]


def copy_gallery(
    source: Store, target: Store, *, progress: Progress = lambda items: items, batch: int = BATCH
) -> int:
    """Copy all templates of all models, in the order of their numbers, which are new in the target.

    Args:
        progress: is given the templates and passes them on, to show how many came by.
        batch: how many are in memory, and durable in the target before the next are read.

    Returns:
        How many templates of the source the target now holds, copied by this or before.

    Raises:
        GalleryError: one of them cannot do its part; the batches before are in the target.
    """
    return add_templates(target, progress(source.since(0)), batch=batch)


def add_templates(store: Store, templates: Iterable[StoredTemplate], *, batch: int = BATCH) -> int:
    """Add templates of any models, in batches; returns how many, with those that were there.

    Raises:
        GalleryError: the store cannot take one; the batches before are in it.
    """
    count = 0
    waiting: dict[str, list[StoredTemplate]] = defaultdict(list)
    for template in templates:
        count += 1
        ready = waiting[template.model]
        ready.append(template)
        if len(ready) == batch:
            store.add(waiting.pop(template.model), model=template.model)
    for model, rest in waiting.items():
        store.add(rest, model=model)
    return count
