"""Re-embedding of a gallery with another model, from the photos of its templates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from faceverify.embeddings.extractor import TemplateExtractor
from faceverify.errors import FaceverifyError, GalleryError, ImageError
from faceverify.gallery.store import Enrollment, Store, StoredTemplate
from faceverify.images.photo import open_photo
from faceverify.runtime.parallel import map_ordered


@dataclass(frozen=True)
class Reembedded:
    """Re-embedding result of a template.

    Attributes:
        old: the template.
        new: its replacement by the other model; None after an error.
        error: why there is no replacement; else None.
    """

    old: StoredTemplate
    new: Enrollment | None
    error: FaceverifyError | None = None


def reembed(
    extractor: TemplateExtractor, templates: Iterable[StoredTemplate], *, workers: int | None = None
) -> Iterator[Reembedded]:
    """Embed the photos of templates with another model, in order.

    A photo that is missing or has changed gives an error in its result.

    Args:
        workers: photos embedded concurrently; by default one for each processor.
    """

    def reembedded(old: StoredTemplate) -> Reembedded:
        try:
            photo = open_photo(old.photo)
            if bytes.fromhex(photo.sha256) != old.photo_hash:
                raise ImageError(
                    f"{old.photo}: is another photo than the one that was enrolled",
                    code="image-changed",
                )
            (found,) = extractor.extract(photo)
        except FaceverifyError as error:
            return Reembedded(old, None, error)
        quality = float(found.quality.score)
        return Reembedded(old, replace(old, embedding=found.embedding, quality=quality))

    return map_ordered(reembedded, templates, workers=workers)


def old_model(store: Store, new: str) -> str:
    """Id of the one model of a gallery that is to be replaced.

    Args:
        store: the gallery.
        new: id of the model to replace it with.

    Raises:
        GalleryError: the gallery is empty, has the new model only, or several others.
    """
    counts = store.count()
    others = sorted(model for model in counts if model != new)
    if len(others) == 1:
        return others[0]
    if not others:
        found = "is empty" if not counts else f"is of model {new} already"
        raise GalleryError(f"{store.url}: {found}: nothing to rebuild")
    raise GalleryError(
        f"{store.url}: holds templates of several models ({', '.join(others)})",
        cure="say which by --from",
    )
