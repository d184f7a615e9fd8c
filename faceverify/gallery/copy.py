"""Copy of a gallery to another engine, bit for bit, in batches.

A template that the target already has (same person, photo and model) is not stored twice. So an
interrupted copy can be repeated, and a second copy adds what is new. A copy removes nothing: what
was removed from the source since stays in the target.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from faceverify.gallery.store import Store, StoredTemplate

BATCH = 2_000  # templates added in one step; 4 MB at 512 dimensions

Progress = Callable[[Iterator[StoredTemplate]], Iterable[StoredTemplate]]


def copy_gallery(
    source: Store, target: Store, *, progress: Progress = lambda items: items, batch: int = BATCH
) -> int:
    """Copy all templates of all models, in their order; they get new sequence numbers.

    Args:
        progress: wraps the iterator of templates, to show progress.
        batch: templates in memory; each batch is durable before the next is read.

    Returns:
        Number of templates of the source that the target now holds.

    Raises:
        GalleryError: a store failed; the batches before are in the target.
    """
    return add_templates(target, progress(source.since(0)), batch=batch)


def add_templates(store: Store, templates: Iterable[StoredTemplate], *, batch: int = BATCH) -> int:
    """Add templates of any models, in batches; returns their number, existing ones included.

    Raises:
        GalleryError: a template cannot be stored; the batches before are in the store.
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
